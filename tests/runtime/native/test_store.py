"""The store of compiled libraries: content-addressed, healed, shared by processes, kept from other users."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from attngen.errors import CompilerError
from attngen.runtime import cache as files
from attngen.runtime.cache import Cache
from attngen.runtime.native import store
from attngen.runtime.native.compiler import find_compiler
from attngen.runtime.native.isa import detect
from attngen.runtime.native.library import load_library
from attngen.runtime.native.store import Built, library
from attngen.targets.cpu import find_cpu
from tests.runtime.native.kit import ROOT

TEXT = 'extern "C" int answer() { return 42; }\n'


def build(root: Path, text: str = TEXT, cpu: str | None = None) -> Built:
    return library(Cache(root), text, find_compiler(), detect(cpu), "a test")


def record(root: Path) -> Path:
    (found,) = (root / "libraries").glob("*.json")
    return found


def test_compiled_once_and_named_by_its_hash(tmp_path: Path) -> None:
    first, again = build(tmp_path), build(tmp_path)
    assert first.seconds > 0
    assert again == Built(first.path, 0.0)
    assert first.path.stem == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert load_library(first.path).answer() == 42
    assert sorted(path.suffix for path in (tmp_path / "libraries").iterdir()) == [".json", ".so"]


def test_what_decides_a_library(tmp_path: Path) -> None:
    build(tmp_path)
    other = [build(tmp_path, TEXT.replace("42", "43")), build(tmp_path, cpu="sse")]
    assert all(one.seconds > 0 for one in other)
    records = [json.loads(path.read_text()) for path in (tmp_path / "libraries").glob("*.json")]
    assert len(records) == 3
    sse = find_cpu("sse")
    assert sse is not None
    assert sum(set(sse.flags) <= set(one["flags"]) for one in records) == 1


@pytest.mark.parametrize("damage", ["truncated", "empty", "changed", "gone"])
@pytest.mark.parametrize("victim", ["library", "record"])
def test_damage_is_seen_and_healed(tmp_path: Path, damage: str, victim: str) -> None:
    built = build(tmp_path)
    path = built.path if victim == "library" else record(tmp_path)
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        changed = bytes([content[0] ^ 1]) + content[1:]
        path.write_bytes({"truncated": content[:-9], "empty": b"", "changed": changed}[damage])
    healed = build(tmp_path)
    assert healed.seconds > 0
    assert load_library(healed.path).answer() == 42
    assert build(tmp_path).seconds == 0


def test_a_record_that_names_another_library(tmp_path: Path) -> None:
    built = build(tmp_path)
    other = json.loads(record(tmp_path).read_text()) | {"library": "../../secret"}
    record(tmp_path).write_text(json.dumps(other))
    assert build(tmp_path).path == built.path


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CompilerError):
        build(tmp_path, "no C++ at all")
    assert list((tmp_path / "libraries").iterdir()) == []


def test_a_library_of_another_user_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path)
    cache = Cache(tmp_path)
    monkeypatch.setattr(files, "_trusted", lambda owner: False)
    assert cache.folder("libraries") is None
    assert "another user" in cache.note
    built = library(cache, TEXT, find_compiler(), detect(), "a test")
    assert tmp_path not in built.path.parents
    assert load_library(built.path).answer() == 42
    assert not built.path.parent.exists(), "nothing may be left behind where nothing is kept"


def test_a_directory_that_everybody_may_write(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "libraries").chmod(0o777)
    cache = Cache(tmp_path)
    assert cache.folder("libraries") is None
    assert "everybody may write" in cache.note


def test_a_lock_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.setattr(store, "LIMIT_S", 0.1)
    with open(tmp_path / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with store._only_one(tmp_path / "lock"):
            pass


def test_sixteen_processes_compile_one_variant(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        import torch
        from attngen.runtime.cache import Cache
        from tests.runtime.native.kit import inputs, native, values
        torch.set_num_threads(1)
        f = native(Cache(Path(sys.argv[1])))
        q, k, v = inputs()
        print("ready", flush=True)
        input()  # all of them start at once
        print(f(q, k, v, **values()).double().sum().item().hex(), *(one.seconds > 0 for one in f.loaded.values()))
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(16)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    answers: list[Any] = []
    for worker in workers:
        out, err = worker.communicate(timeout=300)
        assert worker.returncode == 0, err[-2000:]
        answers.append(out.split())
    assert len({total for total, _ in answers}) == 1
    assert sum(compiled == "True" for _, compiled in answers) == 1, "the others wait for it"
    assert len(list((tmp_path / "libraries").glob("*.so"))) == 2, "the kernel and the pool"
    assert not list(tmp_path.rglob(".*")), "no locks and no working directories are left"
