"""Stores that somebody else, a full disk or a kill had a hand in: never lost in silence, never believed."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attngen.errors import StoreError
from attngen.records import schema
from attngen.records.store import Store
from tests.records.kit import ROOT, decision, start, turn
from tests.refuse.refused import refused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite"


def filled(path: Path, rows: int = 50) -> None:
    with Store.open(path) as store:
        store.extend([turn(number) for number in range(rows)])
        store.decide(decision())


def beginning_anew(path: Path, before: bytes) -> None:
    """Set aside with a message, byte by byte; the new store works."""
    with Store.open(path) as store:
        aside = path.with_name("records.sqlite.corrupt-1")
        assert str(path) in store.set_aside
        assert aside.name in store.set_aside
        assert aside.read_bytes() == before
        assert store.measurements() == []
        assert store.add(turn())
    with Store.open(path) as store:
        assert store.set_aside == ""
        assert len(store.measurements()) == 1


def spoil(path: Path, kind: str) -> None:
    content = bytearray(path.read_bytes())
    match kind:
        case "text":
            content[:] = b"not a database\n" * 500
        case "half":
            del content[len(content) // 2 :]
        case "short":
            del content[10:]
        case "header":
            content[16:100] = b"\xff" * 84
        case "page":
            content[4096:8192] = os.urandom(4096)
        case "zeros":
            content[:] = bytes(len(content))
        case _:
            for place in range(4096, len(content), 512):
                content[place : place + 8] = b"\xa5" * 8
    path.write_bytes(content)


DAMAGES = ["text", "half", "short", "header", "page", "zeros", "sprinkled"]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_store_is_set_aside(path: Path, kind: str) -> None:
    filled(path)
    spoil(path, kind)
    beginning_anew(path, path.read_bytes())


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_store_is_not_moved_by_who_reads(path: Path, kind: str) -> None:
    filled(path)
    spoil(path, kind)
    before = path.read_bytes()

    def read() -> None:
        with Store.open(path, readonly=True) as store:
            store.measurements()

    refused(read, str(path))
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.corrupt-*"))


def foreign(path: Path, statement: str = "CREATE TABLE notes (text)") -> None:
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()


def test_a_foreign_database_is_set_aside(path: Path) -> None:
    foreign(path)
    beginning_anew(path, path.read_bytes())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON measurements BEGIN DELETE FROM measurements; END",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE more (x)",
        "DROP TABLE decisions",
        "PRAGMA application_id = 7",
    ],
)
def test_a_store_with_other_things_in_it_is_foreign(path: Path, statement: str) -> None:
    filled(path)
    foreign(path, statement)
    refused(lambda: Store.open(path, readonly=True), "no store of attngen")
    beginning_anew(path, path.read_bytes())


def test_a_name_that_is_no_store_is_refused_and_not_moved(tmp_path: Path) -> None:
    notes = tmp_path / "README.md"
    notes.write_text("mine")
    refused(lambda: Store.open(notes), "no store of attngen", "README.md.sqlite")
    assert os.listdir(tmp_path) == ["README.md"]


@pytest.mark.parametrize("content", [b"damaged", b""])
def test_a_damaged_store_takes_its_log_with_it(path: Path, content: bytes) -> None:
    """SQLite itself would delete the log."""
    store = Store.open(path)
    store.add(turn())
    log = path.with_name("records.sqlite-wal").read_bytes()
    store.close()
    path.write_bytes(content)
    path.with_name("records.sqlite-wal").write_bytes(log)
    beginning_anew(path, content)
    assert path.with_name("records.sqlite.corrupt-1-wal").read_bytes() == log


def test_each_damaged_store_gets_a_name_of_its_own(path: Path) -> None:
    for number in (1, 2, 3):
        path.write_text("damaged")
        with Store.open(path) as store:
            assert f"corrupt-{number}:" in store.set_aside


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with Store.open(path) as store:
        assert store.add(turn())
        assert store.set_aside == ""


def test_a_log_without_its_database_is_not_played_into_a_new_one(path: Path) -> None:
    store = Store.open(path)
    store.add(turn(1))
    log = path.with_name("records.sqlite-wal")
    left = log.read_bytes()
    assert left
    store.close()
    path.unlink()
    log.write_bytes(left)
    with Store.open(path) as store:
        assert store.measurements() == []
    assert path.with_name("records.sqlite-wal.corrupt-1").read_bytes() == left


def test_two_processes_that_find_the_damage_share_one_new_store(path: Path) -> None:
    path.write_text("damaged")
    writers = [start(path, who, 20) for who in "abc"]
    for writer in writers:
        _, complaint = writer.communicate(timeout=120)
        assert writer.returncode == 0, complaint
    assert [one.name for one in path.parent.glob("*corrupt*")] == ["records.sqlite.corrupt-1"]
    with Store.open(path) as store:
        assert len(store.measurements()) == 60


@pytest.mark.parametrize("readonly", [True, False])
def test_a_newer_store_is_refused_and_left_alone(path: Path, readonly: bool) -> None:
    filled(path)
    foreign(path, f"PRAGMA user_version = {schema.VERSION + 1}")
    before = path.read_bytes()
    refused(lambda: Store.open(path, readonly=readonly), "schema 3", "upgrade attngen")
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*corrupt*"))


def first_version(path: Path) -> None:
    """A store as version 1 left it: no `error` and no `load`."""
    filled(path, 2)
    with sqlite3.connect(path) as database:
        for column in ("error", "load"):
            database.execute(f"ALTER TABLE measurements DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 1")
    database.close()


def test_an_older_store_is_migrated(path: Path) -> None:
    first_version(path)
    with Store.open(path) as store:
        assert store.measurements() == [turn(0), turn(1)]
        assert store.decisions() == [decision()]
        assert store.add(turn(2, error=0.5, load=3.0))
    with Store.open(path) as store:
        assert store.measurements()[-1] == turn(2, error=0.5, load=3.0)
        assert store.set_aside == ""


def test_an_older_store_is_read_without_being_changed(path: Path) -> None:
    first_version(path)
    before = path.read_bytes()
    with Store.open(path, readonly=True) as store:
        assert store.measurements() == [turn(0), turn(1)]
    assert path.read_bytes() == before


def test_a_migration_that_stops_half_way_changed_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_version(path)
    monkeypatch.setitem(schema._STEPS, 1, (*schema._STEPS[1], "ALTER TABLE nothing ADD COLUMN x"))
    refused(lambda: Store.open(path), str(path))
    monkeypatch.undo()
    with Store.open(path) as store:
        assert store.measurements() == [turn(0), turn(1)]


def test_tables_are_laid_once(path: Path) -> None:
    filled(path)
    database = sqlite3.connect(path, isolation_level=None)
    schema.lay(database)  # as by a process that looked before another laid them
    database.close()
    with Store.open(path) as store:
        assert len(store.measurements()) == 50


def test_a_missing_store_is_not_made_by_who_reads(path: Path) -> None:
    refused(lambda: Store.open(path, readonly=True), "no such store", str(path))
    assert not path.exists()


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
def test_what_is_no_file_is_refused(path: Path, kind: str) -> None:
    match kind:
        case "link":
            filled(path.with_name("other.sqlite"), 1)
            path.symlink_to("other.sqlite")
        case "directory":
            path.mkdir()
        case _:
            os.mkfifo(path)
    for readonly in (True, False):
        refused(lambda readonly=readonly: Store.open(path, readonly=readonly), str(path))


def test_a_store_that_everybody_may_write_is_refused(path: Path) -> None:
    filled(path)
    path.chmod(0o666)
    refused(lambda: Store.open(path), "everybody may write", "--store")
    path.chmod(0o600)
    path.parent.chmod(0o777)
    refused(lambda: Store.open(path), "everybody may write", "--store")
    path.parent.chmod(0o700)


def test_a_store_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attngen.runtime import cache

    filled(path)
    monkeypatch.setattr(cache, "_trusted", lambda owner: False)
    for readonly in (True, False):
        refused(lambda readonly=readonly: Store.open(path, readonly=readonly), "another user")


READER = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
from attngen.errors import StoreError
from attngen.records.store import Store
from tests.records.kit import turn
for readonly in (True, False):
    with Store.open(folder / "records.sqlite", readonly=readonly) as store:
        print(len(store.measurements()), len(store.decisions()))
        try:
            store.add(turn(999))
        except StoreError as error:
            print(error)
"""


def as_nobody(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Root may write everywhere: the program gives that up once the imports of Python itself are done."""
    give_up = "import os, sys, sqlite3, json, hashlib, platformdirs, attngen.records.store, tests.records.kit\n"
    give_up += "if os.geteuid() == 0: os.setresuid(0, 65534, 0)\n"
    return subprocess.run(
        [sys.executable, "-c", give_up + program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_what_may_only_be_read_is_read(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    filled(path)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        for folder in (path.parent, *path.parents):  # pytest's own directories are private
            if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o055)
        done = as_nobody(READER, path.parent)
    finally:
        path.parent.chmod(0o700)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line == "50 1"] == ["50 1"] * 2
    assert done.stdout.count("way out") == 2
    assert "readonly" in done.stdout
    assert os.listdir(path.parent) == ["records.sqlite"]


def test_a_kill_at_any_moment_leaves_the_store_intact(path: Path) -> None:
    rng, reported = random.Random(0), set[str]()
    for attempt in range(10):
        writer = start(path, f"w{attempt}", 100_000)
        assert writer.stdout is not None
        begun = [writer.stdout.readline() for _ in range(6)] if attempt % 3 else []  # else while it opens, perhaps
        time.sleep(rng.uniform(0.0, 0.4))
        writer.kill()
        said = "".join(begun) + writer.stdout.read()  # not `communicate`: it would lose what readline has taken ahead
        writer.wait(timeout=60)
        reported |= {f"w{attempt}{line}" for line in said.split() if line.isdigit()}
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()
    with Store.open(path) as store:
        assert store.set_aside == ""
        kept = {row.configuration.source for row in store.measurements()}
    assert len(reported) >= 6 * 5
    assert reported <= kept
    assert len(kept - reported) <= 10, "at most the one row a writer was killed at"


FULL = """
import resource, sys
from pathlib import Path
from attngen.errors import StoreError
from attngen.records.store import Store
from tests.records.kit import turn
path = Path(sys.argv[1])
with Store.open(path) as store:
    if sys.argv[2] == "pages":
        store._database.execute("PRAGMA max_page_count = 40")
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        for number in range(5_000):
            store.add(turn(number))
            kept = number + 1
    except StoreError as error:
        print(kept, error, sep="\\n")
    print(len(store.measurements()))
"""


@pytest.mark.parametrize("kind", ["pages", "size"])
def test_a_full_disk_is_said_and_what_was_kept_stays(path: Path, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), kind],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kept, what, remedy, there = done.stdout.splitlines()
    assert str(path) in what
    assert "--store PATH" in remedy
    assert kept == there
    with Store.open(path) as store:
        assert len(store.measurements()) == int(kept)
        assert store.add(turn(10_000))


def test_a_hostile_row_in_a_good_database_is_refused(path: Path) -> None:
    for column, value in (("plan", "'[1]'"), ("plan", "'{{{'"), ("facts", "3"), ("seconds", "'x'"), ("stage", "x'00'")):
        filled(path, 1)
        foreign(path, f"UPDATE measurements SET {column} = {value}")
        with Store.open(path) as store, pytest.raises(StoreError, match="way out"):
            store.measurements()
        path.unlink()
