"""Compiled libraries, addressed by content, in the cache directory that sources are in.

    <root>/libraries/<sha256 of the file>.so
    <root>/libraries/<sha256 of source, compiler and flags>.json    which library that is

Both are written whole under another name and renamed. A library is used only if its hash is the one of
its name, and only if it belongs to this user or to root: it is code that will run in this process.
Processes that want the same library at once wait for the one that compiles it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attngen.runtime.cache import Cache, read_trusted, write_whole
from attngen.runtime.native.compiler import LIMIT_S, Compiler, compile_library
from attngen.targets.cpu import CpuTarget

FORMAT = "1"


@dataclass(frozen=True, slots=True)
class Built:
    """A library on the disk. ``seconds``: what compiling took, 0 when it was there already."""

    path: Path
    seconds: float


def library(
    cache: Cache,
    source: str,
    compiler: Compiler,
    target: CpuTarget,
    what: str,
    *,
    sanitize: bool = False,
    quiet: bool = False,
) -> Built:
    """The library of a C++ text: from the store, or compiled now. ``what`` names it in messages.

    ``quiet``: whoever waits has been told already, so that nothing is said of a compiler that takes long.
    """
    flags = compiler.flags(target, sanitize)
    identity = {
        "format": FORMAT,
        "source": hashlib.sha256(source.encode()).hexdigest(),
        "compiler": [*compiler.command, compiler.version],
        "flags": flags,
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    folder = cache.folder("libraries")
    if folder is None:  # nothing is kept: the file goes as soon as it is loaded, see `Library`
        return _compile(Path(tempfile.mkdtemp(prefix="attngen-")), source, compiler, flags, what, quiet)
    found = _find(folder, key)
    if found is not None:
        return Built(found, 0.0)
    with _only_one(folder / f".{key}.lock"):
        found = _find(folder, key)
        if found is not None:
            return Built(found, 0.0)
        work = Path(tempfile.mkdtemp(prefix=".build-", dir=folder))
        try:
            built = _compile(work, source, compiler, flags, what, quiet)
            code = built.path.read_bytes()
            digest = hashlib.sha256(code).hexdigest()
            path = folder / f"{digest}.so"
            if read_trusted(path) != code:
                os.chmod(built.path, 0o700)
                os.replace(built.path, path)
            record = {**identity, "library": digest, "seconds": round(built.seconds, 3)}
            write_whole(folder / f"{key}.json", json.dumps(record, indent=1).encode())
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Built(path, built.seconds)


def _find(folder: Path, key: str) -> Path | None:
    """The library of a key, if all of it is there and ours."""
    try:
        digest = json.loads(read_trusted(folder / f"{key}.json") or b"{}")["library"]
        path = folder / f"{digest}.so"
    except (ValueError, KeyError, TypeError):
        return None
    code = read_trusted(path)
    return path if code is not None and hashlib.sha256(code).hexdigest() == digest else None


def _compile(work: Path, source: str, compiler: Compiler, flags: tuple[str, ...], what: str, quiet: bool) -> Built:
    # always the same names: a compiler writes them into the library, whose hash should not depend on them
    text, output = work / "kernel.cpp", work / "kernel.so"
    text.write_text(source, encoding="utf-8")
    return Built(output, compile_library(compiler, flags, text, output, what, quiet=quiet))


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """One process (and thread) at a time; a holder that hangs, or a disk without locks, is not waited for."""
    try:
        import fcntl

        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (ImportError, OSError):
        yield
        return
    try:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break
        yield
    finally:
        # the name goes while the lock is held: whoever waits for it finds the library first
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(handle)
