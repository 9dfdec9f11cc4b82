"""The tables of a store, and how an older one becomes this one.

Version 1 had neither ``error`` nor ``load`` in its measurements. ``application_id`` says that a SQLite file is ours.
"""

from __future__ import annotations

import sqlite3

VERSION = 2
APPLICATION = 0x6174746E  # "attn"

TABLES = """
CREATE TABLE subjects (
    id INTEGER PRIMARY KEY,
    spec TEXT NOT NULL, name TEXT NOT NULL, dtype TEXT NOT NULL, target TEXT NOT NULL, device TEXT NOT NULL,
    batch INTEGER NOT NULL, seqlen_q INTEGER NOT NULL, seqlen_kv INTEGER NOT NULL,
    kind TEXT NOT NULL, threads INTEGER NOT NULL,
    loose TEXT NOT NULL,
    UNIQUE (spec, name, dtype, target, device, batch, seqlen_q, seqlen_kv, kind, threads)
);
CREATE TABLE measurements (
    id INTEGER PRIMARY KEY,
    subject INTEGER NOT NULL REFERENCES subjects (id),
    strict TEXT NOT NULL,
    stage TEXT NOT NULL, round INTEGER NOT NULL, status TEXT NOT NULL,
    seconds REAL NOT NULL, wall REAL NOT NULL, reason TEXT NOT NULL,
    plan TEXT NOT NULL, source TEXT NOT NULL, compiler TEXT NOT NULL, versions TEXT NOT NULL,
    predicted_us REAL NOT NULL,
    facts TEXT NOT NULL, sweep TEXT NOT NULL, at TEXT NOT NULL,
    error REAL NOT NULL DEFAULT 0, load REAL NOT NULL DEFAULT 0,
    UNIQUE (strict, stage, round)
);
CREATE INDEX measurements_by_subject ON measurements (subject);
CREATE INDEX measurements_by_sweep ON measurements (sweep);
CREATE TABLE decisions (
    loose TEXT PRIMARY KEY,
    subject INTEGER NOT NULL REFERENCES subjects (id),
    plan TEXT NOT NULL, source TEXT NOT NULL, compiler TEXT NOT NULL, versions TEXT NOT NULL,
    predicted_us REAL NOT NULL,
    untuned TEXT NOT NULL, ratio REAL NOT NULL, noise REAL NOT NULL,
    tried INTEGER NOT NULL, failed INTEGER NOT NULL, sweep TEXT NOT NULL, at TEXT NOT NULL
);
"""
_STEPS = {
    1: (
        "ALTER TABLE measurements ADD COLUMN error REAL NOT NULL DEFAULT 0",
        "ALTER TABLE measurements ADD COLUMN load REAL NOT NULL DEFAULT 0",
    ),
}
_OURS = {"subjects", "measurements", "decisions", "measurements_by_subject", "measurements_by_sweep"}


def state(database: sqlite3.Connection) -> int | None:
    """The schema's version; 0 of an empty database, None of one that is not ours."""
    things = database.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    application, version = _pragma(database, "application_id"), _pragma(database, "user_version")
    if not things and application == 0 and version == 0:
        return 0
    if application != APPLICATION or version < 1:
        return None
    if version <= VERSION and {(kind, name) for kind, name in things} != {
        ("index" if "_by_" in name else "table", name) for name in _OURS
    }:
        return None  # a trigger or a view would run when we read
    return version


def lay(database: sqlite3.Connection) -> None:
    """The tables of an empty database, all or none of them."""
    statements = [text for text in TABLES.split(";") if text.strip()]
    pragmas = [f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {VERSION}"]
    _together(database, [*statements, *pragmas], version=0)


def migrate(database: sqlite3.Connection) -> None:
    """Step by step to this version, in one transaction."""
    version = _pragma(database, "user_version")
    steps = [statement for step in range(version, VERSION) for statement in _STEPS[step]]
    _together(database, [*steps, f"PRAGMA user_version = {VERSION}"], version=version)


def _together(database: sqlite3.Connection, statements: list[str], version: int) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        if _pragma(database, "user_version") == version:  # else another process was first
            for statement in statements:
                database.execute(statement)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])
