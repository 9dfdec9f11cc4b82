"""`attngen records`: a store from the outside."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from attngen.records.store import Store
from tests.cli.conftest import Run
from tests.records.kit import SUBJECT, decision, turn
from tests.refuse.refused import assert_one_screen


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "records.sqlite"
    with Store.open(path) as opened:
        opened.extend([turn(n, block_m=16 * n) for n in range(1, 5)])
        opened.add(turn(9, status="failed", seconds=0.0, reason="took over 20 s"))
        opened.decide(decision())
    return path


def refused(done: object, *words: str) -> None:
    assert done.returncode == 2, done.stdout  # type: ignore[attr-defined]
    text = done.stderr  # type: ignore[attr-defined]
    assert_one_screen(text.rstrip("\n"))
    assert "way out" in text
    for word in words:
        assert word in text


def test_list(attngen: Run, store: Path) -> None:
    (row,) = json.loads(attngen("records", "list", "--json").stdout)
    assert row["subject"]["spec"] == SUBJECT.spec
    assert (row["tried"], row["failed"], row["turns"]) == (5, 1, 4)
    assert row["decision"]["ratio"] == 1.25
    assert row["decision"]["plan"] == {"block_m": 64, "block_n": 32}
    shown = attngen("records", "list", "--store", store).stdout
    for word in ("causal", "avx512_bf16", "1x4096x4096", "1.25x ±0.03", "block_m=64"):
        assert word in shown


def test_rows_travel(attngen: Run, store: Path, tmp_path: Path) -> None:
    carried, other = tmp_path / "rows.jsonl", tmp_path / "other.sqlite"
    assert attngen("records", "export", "-o", carried).returncode == 0
    assert carried.read_text() == attngen("records", "export").stdout
    assert json.loads(attngen("records", "import", carried, "--store", other, "--json").stdout) == {
        "added": 6,
        "known": 0,
    }
    assert json.loads(attngen("records", "import", carried, "--json").stdout) == {"added": 0, "known": 6}
    found = json.loads(attngen("records", "diff", store, carried, "--json").stdout)
    assert [one["ratio"] for one in found] == [1.0] * 4
    assert "1.000" in attngen("records", "diff", carried, other).stdout


def test_a_pipe_is_read(attngen: Run, store: Path, tmp_path: Path) -> None:
    text, pipe = attngen("records", "export").stdout, tmp_path / "pipe"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_text, args=(text,), daemon=True).start()
    found = json.loads(attngen("records", "diff", store, pipe, "--json").stdout)
    assert [one["ratio"] for one in found] == [1.0] * 4


def test_prune(attngen: Run, store: Path) -> None:
    refused(attngen("records", "prune"), "--older-than")
    assert json.loads(attngen("records", "prune", "--spec", "nobody", "--json").stdout) == {"deleted": 0}
    assert attngen("records", "prune", "--older-than", "1").stdout == "6 deleted\n"
    assert json.loads(attngen("records", "list", "--json").stdout) == []


def test_what_is_missing_or_bad_is_refused(attngen: Run, store: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b'\n{"kind": "\xff\x1b[31m"}\n')
    refused(attngen("records", "import", bad), "bad.jsonl:2")
    refused(attngen("records", "import", tmp_path / "none.jsonl"), "none.jsonl")
    refused(attngen("records", "diff", store, bad), "bad.jsonl:2")
    refused(attngen("records", "list", "--store", tmp_path / "none.sqlite"), "no such store")
    refused(attngen("records", "list", "--store", bad))
    assert bad.exists()
    assert len(json.loads(attngen("records", "list", "--json").stdout)) == 1


def test_what_is_set_aside_is_said(attngen: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_text("damaged")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("")
    done = attngen("records", "import", rows, "--store", broken)
    assert done.returncode == 0
    assert "broken.sqlite.corrupt-1" in done.stderr


def test_a_hostile_name_does_not_reach_the_terminal(attngen: Run, store: Path) -> None:
    from dataclasses import replace

    hostile = replace(SUBJECT, name="[red]x[/red]\x1b]0;owned\x07", seqlen_q=5)
    with Store.open(store) as opened:
        opened.add(turn(1, subject=hostile))
    shown = attngen("records", "list").stdout
    assert "[red]x[/red]?]0;owned?" in shown
    assert "\x1b" not in shown


def test_neither_torch_nor_triton_is_needed(
    attngen: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "without"
    for name in ("torch", "triton"):
        (empty / name).mkdir(parents=True)
        (empty / name / "__init__.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(empty))
    for command in (("list",), ("export",), ("diff", store, store), ("prune", "--spec", "x")):
        done = attngen("records", *command)
        assert done.returncode == 0, done.stderr
