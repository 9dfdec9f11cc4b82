"""Compiled kernels and what was read from them, addressed by content, shared by processes.

    <root>/builds/<digest of the job>.json                     binary, assembly, sizes
    <root>/builds/<digest of the job>.<stamp of the reader>.json    registers, spills, loops

Binaries depend only on the job; what is read from them also on our reader, whose files make the stamp.
Each file is written whole under another name and renamed. It carries the hash of its content: a damaged
one is the same as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attngen.runtime.cache import default_root, read_own, write_whole

_NOT_READING = ("gates.py", "rates.py")


class BuildStore:
    """``root`` None: the user's cache ($ATTNGEN_CACHE_DIR). A directory that cannot be written stores nothing."""

    def __init__(self, root: Path | None = None) -> None:
        self._folder = (root or default_root()) / "builds"

    def get(self, name: str) -> dict[str, Any] | None:
        digest, _, text = (read_own(self._folder / f"{name}.json") or "").partition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def put(self, name: str, record: Mapping[str, Any]) -> None:
        text = json.dumps(record, separators=(",", ":"))
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            content = f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}"
            write_whole(self._folder / f"{name}.json", content.encode())


@cache
def reader_stamp() -> str:
    """Changes with the files that read machine code, so that what an older reader found is read anew."""
    import attngen.machine_code

    stamp = hashlib.sha256()
    for folder in attngen.machine_code.__path__:
        for file in sorted(Path(folder).glob("*.py")):
            if file.name not in _NOT_READING:
                stamp.update(file.read_bytes())
    return stamp.hexdigest()[:16]
