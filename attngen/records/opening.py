"""A database from a path: made whole, trusted, migrated, or set aside with a word about it.

Nothing is ever deleted. A file that is damaged or not ours is renamed when a store is opened for writing, so that
work goes on; for reading it is refused and left where it is.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from attngen.errors import StoreError
from attngen.records import schema
from attngen.records.guard import BESIDE, TIMEOUT_S, alone, beside, refusal, trust

_SUFFIX = ".sqlite"
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def for_writing(path: Path) -> tuple[sqlite3.Connection, str]:
    """A connection that may write, and what was set aside on the way ("" when nothing)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(path.parent):  # else two that find the same damage would set aside each other's new store
        trust(path)
        if not path.exists():
            _create(path)
        why, database = _try(path)
        if database is not None:
            return database, ""
        said = _set_aside(path, why)
        _create(path)
        why, database = _try(path)
        if database is None:
            raise StoreError(f"cannot be made anew: {why}", place=str(path), remedy="name another place: --store PATH")
        return database, said


def for_reading(path: Path) -> sqlite3.Connection:
    """A connection that only reads. It works without the right to write; an older store is read through a copy."""
    if not path.exists():
        raise StoreError("no such store", place=str(path), remedy="`attngen tune` makes one; or name another: --store")
    trust(path)
    try:
        database = _connect(path, "mode=ro")
    except sqlite3.Error as error:
        if _size(path, "-wal"):
            raise refusal(path, error) from error
        database = _connect(path, "mode=ro&immutable=1")  # a directory where SQLite may not put its files
    version = schema.state(database)
    if version is None:
        database.close()
        raise StoreError("is no store of attngen", place=str(path), remedy="name another: --store PATH")
    _refuse_newer(path, version)
    if version < schema.VERSION:
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with contextlib.closing(database):
            database.backup(copy)
        (schema.migrate if version else schema.lay)(copy)
        database = copy
    return database


def _connect(path: Path, options: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True, timeout=TIMEOUT_S, isolation_level=None, check_same_thread=False,
    )  # fmt: skip
    try:
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("SELECT count(*) FROM sqlite_master")  # the first look at the file
    except BaseException:
        database.close()
        raise
    return database


def _try(path: Path) -> tuple[str, sqlite3.Connection | None]:
    """A connection, or why the file is to be set aside."""
    database = None
    try:
        if why := _damage(path):
            return why, None
        database = _connect(path, "mode=rw")
        version = schema.state(database) or 0
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        if version < schema.VERSION:
            (schema.migrate if version else schema.lay)(database)
    except sqlite3.Error as error:
        if database is not None:
            database.close()
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):  # what there is can be read all the same
            return "", for_reading(path)
        raise refusal(path, error) from error
    return "", database


def _damage(path: Path) -> str:
    """Why a file is no store, or nothing. Looked at read only: a writer's log of a damaged file would be lost."""
    if not path.stat().st_size and _size(path, "-wal"):
        return "it is empty, but has a log"
    try:
        with contextlib.closing(_connect(path, "mode=ro")) as database:
            version = schema.state(database)
            if version is None:
                return "it is no store of attngen"
            _refuse_newer(path, version)
            found = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
            return "" if found == "ok" else f"it is damaged ({found.splitlines()[-1]})"
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            return f"it is damaged ({error})"
        raise


def _create(path: Path) -> None:
    """Made whole under another name, then renamed: whatever stops this process, nobody sees half of a store."""
    for suffix in BESIDE:  # a log without its database would be played into the new one
        if beside(path, suffix).exists():
            os.rename(beside(path, suffix), _free(path, suffix))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_SUFFIX)
    os.close(handle)
    try:
        with contextlib.closing(_connect(Path(name), "mode=rw")) as database:
            database.execute("PRAGMA journal_mode = WAL")
            schema.lay(database)
        os.rename(name, path)
    except sqlite3.Error as error:
        raise refusal(path, error) from error
    finally:
        for suffix in ("", *BESIDE):
            Path(name + suffix).unlink(missing_ok=True)


def _set_aside(path: Path, why: str) -> str:
    """Rename what cannot be used, with the files beside it; returns a sentence about it."""
    with open(path, "rb") as file:
        head = file.read(15)
    if path.suffix != _SUFFIX and head != b"SQLite format 3":
        remedy = f"a store is a SQLite file; to begin one, name it so: {path.name}{_SUFFIX}"
        raise StoreError("is no store of attngen", place=str(path), remedy=remedy)
    aside = _free(path)
    for suffix in (*BESIDE, ""):
        if beside(path, suffix).exists():
            os.rename(beside(path, suffix), beside(aside, suffix))
    return f"{path} was set aside as {aside.name}: {why}; a new store was begun"


def _free(path: Path, suffix: str = "") -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}{suffix}.corrupt-{number}")).exists():
        number += 1
    return aside


def _size(path: Path, suffix: str) -> int:
    file = beside(path, suffix)
    return file.stat().st_size if file.exists() else 0


def _refuse_newer(path: Path, version: int) -> None:
    if version > schema.VERSION:
        raise StoreError(
            f"has schema {version}; this attngen knows {schema.VERSION}",
            place=str(path),
            remedy="upgrade attngen, or name another store: --store PATH",
        )
