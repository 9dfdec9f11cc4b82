"""The store of sources: content-addressed, healed, shared by processes, kept from other users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from attngen.errors import RuntimeMissingError
from attngen.runtime import cache as store
from attngen.runtime.cache import Cache, Stored
from attngen.runtime.load import digest_of, load

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = {"spec": "abc", "request": "bf16 h100"}
SOURCE = "VALUE = 42\n\n\ndef double(x):\n    return 2 * x\n"


def test_put_and_get(tmp_path: Path) -> None:
    stored = Cache(tmp_path).put(IDENTITY, SOURCE, {"plan": {"block_m": 128}})
    assert stored.path is not None
    assert stored.path.name == f"{digest_of(SOURCE)}.py"
    assert stored.path.read_text() == SOURCE
    assert Cache(tmp_path).get(IDENTITY) == stored
    assert Cache(tmp_path).get({**IDENTITY, "request": "fp16 h100"}) is None


def test_identity_names_the_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).put(IDENTITY, SOURCE)
    for name in store.generator_identity():
        other = {**store.generator_identity(), name: "another"}
        monkeypatch.setattr(store, "generator_identity", lambda other=other: other)
        assert Cache(tmp_path).get(IDENTITY) is None, name
        monkeypatch.undo()


@pytest.mark.parametrize("damage", ["truncated", "empty", "changed", "gone", "binary"])
@pytest.mark.parametrize("victim", ["source", "entry"])
def test_damage_is_seen_and_healed(tmp_path: Path, damage: str, victim: str) -> None:
    stored = Cache(tmp_path).put(IDENTITY, SOURCE)
    assert stored.path is not None
    path = stored.path if victim == "source" else next((tmp_path / "entries").iterdir())
    text = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        changed = text.replace(b"2", b"3")
        path.write_bytes({"truncated": text[:-9], "empty": b"", "changed": changed, "binary": b"\xff\xfe\x00"}[damage])
    assert Cache(tmp_path).get(IDENTITY) is None
    Cache(tmp_path).put(IDENTITY, SOURCE)
    healed = Cache(tmp_path).get(IDENTITY)
    assert healed is not None
    assert healed.source == SOURCE


def test_facts_beside_a_source_are_not_believed_when_changed(tmp_path: Path) -> None:
    Cache(tmp_path).put(IDENTITY, SOURCE, {"plan": {"block_m": 128}})
    (entry,) = (tmp_path / "entries").iterdir()
    entry.write_text(entry.read_text().replace("128", "129"))
    assert Cache(tmp_path).get(IDENTITY) is None


def test_another_entry_under_a_name_is_not_believed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put(IDENTITY, SOURCE)
    (entry,) = (tmp_path / "entries").iterdir()
    other = {**IDENTITY, "spec": "another"}
    cache.put(other, SOURCE)
    (second,) = set((tmp_path / "entries").iterdir()) - {entry}
    second.write_text(entry.read_text())
    assert Cache(tmp_path).get(other) is None
    assert Cache(tmp_path).get(IDENTITY) is not None


def test_sixteen_processes_at_once(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from attngen.runtime.cache import Cache
        from attngen.runtime.load import load
        worker = int(sys.argv[2])
        for step in range(24):
            cache = Cache(Path(sys.argv[1]))
            number = (step + worker) % 6
            identity, source = {"n": str(number)}, f"N = {number}\\n" * 2000
            found = cache.get(identity)
            assert found is None or found.source == source
            if step % 5 == worker % 5:  # a crashed writer, in effect
                path = Path(sys.argv[1]) / "sources" / f"{cache.put(identity, source).digest}.py"
                path.write_text(source[:100])
            stored = cache.put(identity, source)
            assert load(stored.source, stored.path).N == number
        print("ok")
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(i)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for i in range(16)
    ]  # fmt: skip
    for worker in workers:
        out, err = worker.communicate(timeout=120)
        assert out == "ok\n", err[-2000:]
    assert not list(tmp_path.rglob("*.tmp"))
    for entry in (tmp_path / "entries").iterdir():
        json.loads(entry.read_text())


def test_a_reader_sees_all_of_a_file_or_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    texts = {str(i) * 300_000 for i in range(5)}
    done = threading.Event()

    def write() -> None:
        for _ in range(40):
            for text in texts:
                Cache._write(path, text)
        done.set()

    Cache._write(path, "0" * 300_000)
    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert path.read_text() in texts
    writer.join()


def test_directory_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(RuntimeMissingError, match="everybody may write") as error:
        Cache(tmp_path)
    assert "mkdir -m 700" in str(error.value)
    tmp_path.chmod(0o1777)
    assert not Cache(tmp_path).note


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_trusted", lambda owner: False)


@pytest.mark.usefixtures("foreign")
def test_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMissingError, match="belongs to another user"):
        Cache(tmp_path)


@pytest.mark.usefixtures("foreign")
def test_default_directory_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(store.VARIABLE)
    monkeypatch.setattr(store, "default_root", lambda: tmp_path)
    cache = Cache()
    assert "another user" in cache.note
    assert cache.put(IDENTITY, SOURCE).path is None


def test_file_of_another_user_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Cache(tmp_path).put(IDENTITY, SOURCE)
    cache = Cache(tmp_path)
    monkeypatch.setattr(store, "_trusted", lambda owner: False)
    assert cache.get(IDENTITY) is None


def test_trust_is_in_oneself_and_root() -> None:
    assert store._trusted(os.geteuid())
    assert store._trusted(0)
    assert not store._trusted(os.geteuid() + 4321)


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    assert "memory only" in cache.note
    stored = cache.put(IDENTITY, SOURCE)
    assert stored == Stored(SOURCE, digest_of(SOURCE), None, {})
    assert cache.get(IDENTITY) == stored


def test_disk_that_becomes_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(store.tempfile, "mkstemp", refuse)
    stored = cache.put(IDENTITY, SOURCE)
    assert stored.path is None
    assert "Read-only" in cache.note
    assert cache.get(IDENTITY) == stored


def test_a_source_is_one_module(tmp_path: Path) -> None:
    stored = Cache(tmp_path).put(IDENTITY, SOURCE)
    module = load(stored.source, stored.path)
    assert module is load(SOURCE)
    assert module.double(module.VALUE) == 84
    assert sys.modules[module.__name__] is module
    assert digest_of(SOURCE).startswith(module.__name__.removeprefix("attngen_kernel_"))


def test_source_without_a_file_can_be_inspected() -> None:
    import inspect
    import linecache

    module = load("def triple(x):\n    return 3 * x\n")
    linecache.checkcache()
    assert "return 3 * x" in inspect.getsource(module.triple)


def test_source_that_fails_leaves_nothing() -> None:
    text = "import sys\nraise ValueError('no')\n"
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            load(text)
    assert f"attngen_kernel_{digest_of(text)[:16]}" not in sys.modules
