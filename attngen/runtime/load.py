"""A source text as a module: imported once a process, under a name made of its hash."""

from __future__ import annotations

import hashlib
import linecache
import sys
import threading
from pathlib import Path
from types import ModuleType

_lock = threading.RLock()
_loaded: dict[str, ModuleType] = {}


def digest_of(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def load(source: str, path: Path | None = None) -> ModuleType:
    """The module of ``source``; the same text gives the same module object in a process.

    The text is executed as given, never read back from ``path``: what was hashed is what runs.
    ``path`` (or a name in angle brackets) only tells tracebacks, debuggers and Triton's parser where
    the lines stand.
    """
    digest = digest_of(source)
    with _lock:
        module = _loaded.get(digest)
        if module is None:
            module = _loaded[digest] = _execute(source, digest, path)
        return module


def _execute(source: str, digest: str, path: Path | None) -> ModuleType:
    name = f"attngen_kernel_{digest[:16]}"
    filename = str(path) if path is not None else f"<{name}>"
    # without a modification time linecache never drops the entry, so Triton finds the lines of a text without a file
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    module = ModuleType(name, f"A kernel that attngen emitted ({digest}).")
    module.__file__ = filename
    code = compile(source, filename, "exec", dont_inherit=True)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module
