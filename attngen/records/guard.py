"""What stands between a store and the rest of the machine: who may have written it, who renames, what SQLite says."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from attngen.errors import StoreError
from attngen.runtime.cache import danger

TIMEOUT_S = 60.0  # how long a writer waits for another
BESIDE = ("-wal", "-shm")  # the log, and the index into it


def refusal(path: Path, error: sqlite3.Error) -> StoreError:
    """What SQLite said, with the way out."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    remedies = {
        sqlite3.SQLITE_FULL: "free space on that disk, or name another place: --store PATH or $ATTNGEN_CACHE_DIR",
        sqlite3.SQLITE_IOERR: "check the disk and its space, or name another place: --store PATH or $ATTNGEN_CACHE_DIR",
        sqlite3.SQLITE_READONLY: "it may be read only; to write, name another place: --store PATH",
        sqlite3.SQLITE_CANTOPEN: "check who may read and write that directory, or name another place: --store PATH",
        sqlite3.SQLITE_BUSY: f"another process has written for over {TIMEOUT_S:.0f} s: wait for it, or end it",
        sqlite3.SQLITE_CORRUPT: "the next run that writes sets it aside and begins anew",
        sqlite3.SQLITE_NOTADB: "name a store of attngen; the next run that writes sets a damaged one aside",
    }
    return StoreError(str(error), place=str(path), remedy=remedies.get(code, "name another place: --store PATH"))


def trust(path: Path) -> None:
    """A store decides which kernels are made: it must be a file of this user, with what SQLite puts beside it."""
    remedy = "name a store of your own: --store PATH or $ATTNGEN_CACHE_DIR"
    if why := danger(path.parent):
        raise StoreError(f"is refused: {why}", place=str(path.parent), remedy=remedy)
    for file in (path, *(beside(path, suffix) for suffix in BESIDE)):
        if file.is_symlink():
            raise StoreError("is a symbolic link", place=str(file), remedy="name the file itself")
        if file.exists() and not file.is_file():
            raise StoreError("is no regular file", place=str(file), remedy=remedy)
        if file.exists() and (why := danger(file)):
            raise StoreError(f"is refused: {why}", place=str(file), remedy=remedy)


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time makes or renames stores here. The lock is on the directory: no file is left behind."""
    try:
        import fcntl
    except ImportError:  # Windows, where a file that is in use cannot be renamed anyway
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
