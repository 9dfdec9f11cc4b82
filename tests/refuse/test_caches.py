"""Caches that somebody else has had a hand in: neither crash nor mislead."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from attngen.building.store import BuildStore
from attngen.errors import RuntimeMissingError
from attngen.runtime import cache as sources
from attngen.runtime.cache import Cache
from attngen.runtime.load import digest_of
from tests.refuse.refused import files_under, refused

IDENTITY = {"spec": "abc", "request": "bf16 h100"}
SOURCE, EVIL = "VALUE = 42\n", "VALUE = 666\n"
BOMBS = [
    "[" * 100_000,
    '{"a":' * 100_000,
    "9" * 10_000,
    '{"sha256": 3}',
    "[]",
    "null",
    '"x"',
    "NaN",
    "{}",
    "\x00" * 999,
]


def entry(root: Path) -> Path:
    (found,) = (root / "entries").iterdir()
    return found


@pytest.mark.parametrize("content", BOMBS, ids=range(len(BOMBS)))
def test_foreign_content_in_an_entry(tmp_path: Path, content: str) -> None:
    Cache(tmp_path).put(IDENTITY, SOURCE)
    entry(tmp_path).write_text(content)
    assert Cache(tmp_path).get(IDENTITY) is None
    assert Cache(tmp_path).put(IDENTITY, SOURCE).source == SOURCE
    assert Cache(tmp_path).get(IDENTITY) is not None


@pytest.mark.parametrize("content", BOMBS, ids=range(len(BOMBS)))
def test_foreign_content_in_a_build(tmp_path: Path, content: str) -> None:
    store = BuildStore(tmp_path)
    for text in (content, f"{digest_of(content)}\n{content}"):
        store.put("job", {"a": 1})
        (tmp_path / "builds" / "job.json").write_text(text)
        found = store.get("job")
        assert found is None or found == json.loads(content), "a whole JSON object with its own hash is a record"


def signed(record: dict[str, object]) -> str:
    body = {key: record[key] for key in ("identity", "metadata", "source")}
    return sources._canonical({**body, "sha256": digest_of(sources._canonical(body))})


@pytest.mark.parametrize("source", ["../../evil", "/tmp/evil", "..", "", "x\x00y", 3, None, ["x"], "a" * 5_000])
def test_an_entry_that_names_another_file(tmp_path: Path, source: object) -> None:
    """Signed as ours, the source outside of the store."""
    root = tmp_path / "cache"
    Cache(root).put(IDENTITY, SOURCE)
    (tmp_path / "evil.py").write_text(EVIL)
    record = json.loads(entry(root).read_text())
    entry(root).write_text(signed({**record, "source": source}))
    assert Cache(root).get(IDENTITY) is None


def test_an_entry_of_an_older_version(tmp_path: Path) -> None:
    Cache(tmp_path).put(IDENTITY, SOURCE)
    record = json.loads(entry(tmp_path).read_text())
    for key, value in (("format", "0"), ("attngen", "0.0.1"), ("triton", "2.0"), ("generator", "0" * 16)):
        older = {**record, "identity": {**record["identity"], key: value}}
        entry(tmp_path).write_text(signed(older))
        assert Cache(tmp_path).get(IDENTITY) is None, key


def test_an_entry_with_other_metadata_than_it_was_signed_with(tmp_path: Path) -> None:
    Cache(tmp_path).put(IDENTITY, SOURCE, {"plan": {"block_m": 64}})
    text = entry(tmp_path).read_text()
    entry(tmp_path).write_text(text.replace('"block_m":64', '"block_m":16'))
    assert Cache(tmp_path).get(IDENTITY) is None


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "loop", "dangling"])
@pytest.mark.parametrize("victim", ["entry", "source"])
def test_what_is_no_file_in_place_of_one(tmp_path: Path, victim: str, kind: str) -> None:
    stored = Cache(tmp_path).put(IDENTITY, SOURCE)
    assert stored.path is not None
    path = stored.path if victim == "source" else entry(tmp_path)
    replace(path, kind)
    assert Cache(tmp_path).get(IDENTITY) is None
    again = Cache(tmp_path).put(IDENTITY, SOURCE)
    assert again.source == SOURCE


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "loop", "dangling"])
def test_what_is_no_file_in_place_of_a_build(tmp_path: Path, kind: str) -> None:
    store = BuildStore(tmp_path)
    store.put("job", {"a": 1})
    replace(tmp_path / "builds" / "job.json", kind)
    assert store.get("job") is None
    store.put("job", {"a": 2})
    assert store.get("job") in (None, {"a": 2})


def replace(path: Path, kind: str) -> None:
    path.unlink()
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case _:
            path.symlink_to(path.with_name("nothing"))


def test_a_link_is_not_followed_even_to_what_is_right(tmp_path: Path) -> None:
    root, store = tmp_path / "cache", BuildStore(tmp_path / "cache")
    stored = Cache(root).put(IDENTITY, SOURCE)
    store.put("job", {"a": 1})
    assert stored.path is not None
    for path, get in (
        (stored.path, lambda: Cache(root).get(IDENTITY)),
        (entry(root), lambda: Cache(root).get(IDENTITY)),
        (root / "builds" / "job.json", lambda: store.get("job")),
    ):
        assert get() is not None
        moved = path.rename(tmp_path / path.name)
        path.symlink_to(moved)
        assert get() is None
        path.unlink()
        moved.rename(path)


def test_a_link_is_replaced_and_its_target_is_left_alone(tmp_path: Path) -> None:
    root, precious = tmp_path / "cache", tmp_path / "precious"
    precious.write_text("mine")
    stored = Cache(root).put(IDENTITY, SOURCE)
    assert stored.path is not None
    for path in (stored.path, entry(root)):
        path.unlink()
        path.symlink_to(precious)
    assert Cache(root).get(IDENTITY) is None
    Cache(root).put(IDENTITY, SOURCE)
    assert precious.read_text() == "mine"
    assert not stored.path.is_symlink()
    store = BuildStore(root)
    store.put("job", {"a": 1})
    build = root / "builds" / "job.json"
    build.unlink()
    build.symlink_to(precious)
    assert store.get("job") is None
    store.put("job", {"a": 2})
    assert precious.read_text() == "mine"
    assert store.get("job") == {"a": 2}


def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is now somebody else's, and we are not root."""
    of_handle, of_path = os.fstat, Path.stat

    def theirs(facts: os.stat_result) -> os.stat_result:
        return os.stat_result((*facts[:4], 1234, *facts[5:]))

    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    monkeypatch.setattr(os, "fstat", lambda handle: theirs(of_handle(handle)))
    monkeypatch.setattr(Path, "stat", lambda self, **options: theirs(of_path(self, **options)))


def test_builds_of_somebody_else_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BuildStore(tmp_path)
    store.put("job", {"a": 1})
    strangers(monkeypatch)
    assert store.get("job") is None


def test_sources_of_somebody_else_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).put(IDENTITY, SOURCE)
    cache = Cache(tmp_path)
    strangers(monkeypatch)
    assert cache.get(IDENTITY) is None


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "entries").mkdir()
    before = files_under(tmp_path)
    strangers(monkeypatch)
    error = refused(lambda: Cache(tmp_path), "another user", "ATTNGEN_CACHE_DIR", "mkdir -m 700")
    assert isinstance(error, RuntimeMissingError)
    monkeypatch.undo()
    assert files_under(tmp_path) == before


def _write(root: str, worker: int) -> None:
    store = BuildStore(Path(root))
    for step in range(60):
        name, size = f"job{step % 3}", 20_000
        store.put(name, {"n": step % 3, "body": str(step % 3) * size})
        found = store.get(name)
        assert found is not None
        assert found == {"n": step % 3, "body": str(step % 3) * size}
        if step % 7 == worker:  # somebody stops in the middle, in effect
            (Path(root) / "builds" / f".{worker}.tmp").write_text("half")


def test_builds_written_by_several_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(str(tmp_path), i)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0


def test_a_folder_of_builds_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "builds").write_text("mine")
    store = BuildStore(tmp_path)
    store.put("job", {"a": 1})
    assert store.get("job") is None
    assert (tmp_path / "builds").read_text() == "mine"
