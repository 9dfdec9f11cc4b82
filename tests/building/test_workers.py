"""Compiling processes: they see no interpreter, survive nothing but are replaced, and the store trusts hashes only."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from attngen.building.job import Compiled, Job
from attngen.building.store import BuildStore
from attngen.building.workers import Workers, _environment


def job(source: str) -> dict[str, Any]:
    made = Job(source, "kernel", (), (), "cuda", "sm_80", 32, 4, 2, "3.7.1")
    return {"job": asdict(made), "compiled": None}


def test_the_interpreter_stays_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "0")
    inside = _environment(tmp_path)
    assert [name for name in inside if name.startswith("TRITON_")] == ["TRITON_CACHE_DIR"]


def test_errors_come_back_and_a_dead_worker_is_replaced(workers: Workers) -> None:
    assert "ZeroDivisionError" in workers.ask(job("1 / 0"))["error"]
    died = workers.ask(job("import os, sys\nsys.stderr.write('the last words')\nsys.stderr.flush()\nos._exit(3)"))
    assert "exit code 3" in died["error"]
    assert "the last words" in died["error"]
    assert "AttributeError" in workers.ask(job("print('noise on stdout')"))["error"]


def test_the_job_decides_the_digest() -> None:
    one = Job("text", "kernel", (), (), "cuda", "sm_80", 32, 4, 2, "3.7.1")
    assert one.digest() == Job("text", "kernel", (), (), "cuda", "sm_80", 32, 4, 2, "3.7.1").digest()
    others = [
        Job("text ", "kernel", (), (), "cuda", "sm_80", 32, 4, 2, "3.7.1"),
        Job("text", "kernel", (), (), "cuda", "sm_86", 32, 4, 2, "3.7.1"),
        Job("text", "kernel", (), (("BLOCK_M", 64),), "cuda", "sm_80", 32, 4, 2, "3.7.1"),
        Job("text", "kernel", (), (), "cuda", "sm_80", 32, 8, 2, "3.7.1"),
        Job("text", "kernel", (), (), "cuda", "sm_80", 32, 4, 3, "3.7.1"),
        Job("text", "kernel", (), (), "cuda", "sm_80", 32, 4, 2, "3.8.0"),
    ]
    assert len({one.digest(), *(other.digest() for other in others)}) == 7


def test_compiled_survives_json() -> None:
    made = Compiled(b"\x7fELF\x00\xff", "text", 1024, 4, 0, 1.5)
    assert Compiled.from_record(made.to_record()) == made


def test_store(tmp_path: Path) -> None:
    store = BuildStore(tmp_path)
    assert store.get("absent") is None
    store.put("name", {"a": [1, 2]})
    assert store.get("name") == {"a": [1, 2]}
    (file,) = (tmp_path / "builds").iterdir()
    whole = file.read_text()
    for text in ("", "no hash", whole[:-1], whole.replace("1", "2"), "\x00" * 40):
        file.write_text(text)
        assert store.get("name") is None
    store.put("name", {"a": 3})
    assert store.get("name") == {"a": 3}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_cannot_be_written_stores_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    store = BuildStore(tmp_path)
    store.put("name", {})
    assert store.get("name") is None
