"""Rows as lines of JSON: the same rows come back, and a hostile line is refused with its number."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attngen.errors import StoreError
from attngen.records import lines
from attngen.records.row import Measurement
from attngen.records.store import Store
from tests.records.kit import ROOT, SUBJECT, decision, turn
from tests.records.test_store import ROWS
from tests.refuse.refused import refused

SWEEPS = sorted(ROOT.glob("tests/*/sweeps/*.jsonl"))


@pytest.mark.parametrize("row", [*ROWS, decision()], ids=range(len(ROWS) + 1))
def test_a_row_is_one_line(row: Measurement) -> None:
    line = lines.to_line(row)
    assert "\n" not in line
    assert lines.from_line(line) == row
    assert lines.to_line(lines.from_line(line)) == line


def test_a_store_is_carried_over(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.sqlite") as a, Store.open(tmp_path / "b.sqlite") as b:
        a.extend(ROWS)
        a.decide(decision())
        text = io.StringIO()
        assert lines.export(a, text) == len(ROWS) + 1
        assert lines.import_(b, text.getvalue().splitlines(keepends=True)) == (len(ROWS) + 1, 0)
        assert lines.import_(b, text.getvalue().splitlines()) == (0, len(ROWS) + 1)
        assert b.measurements() == a.measurements()
        assert b.decisions() == a.decisions()


def test_a_newer_decision_stands(tmp_path: Path) -> None:
    newer = decision(at="2026-01-31T12:00:01Z", ratio=3.0)
    with Store.open(tmp_path / "records.sqlite") as store:
        store.decide(decision())
        assert lines.import_(store, [lines.to_line(newer)]) == (1, 0)
        assert lines.import_(store, [lines.to_line(decision(ratio=9.0))]) == (0, 1)
        assert store.decisions() == [newer]


def test_a_bad_line_adds_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "records.sqlite") as store:
        text = [lines.to_line(turn(0)), "", lines.to_line(turn(1)), "{}"]
        refused(lambda: lines.import_(store, text, "sweep.jsonl"), "sweep.jsonl:4", "is no record")
        assert store.measurements() == []
        assert lines.import_(store, text[:3]) == (2, 0)


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    record = json.loads(lines.to_line(turn(facts={"clock": 2.0})))
    change(record)
    return json.dumps(record)


def put(*path: str, value: object) -> str:
    def change(record: dict[str, Any]) -> None:
        for name in path[:-1]:
            record = record[name]
        record[path[-1]] = value

    return changed(change)


GOOD = lines.to_line(turn())
HOSTILE = {
    "nothing": ("", "no JSON"),
    "words": ("hello", "no JSON"),
    "null": ("null", "no record"),
    "list": (f"[{GOOD}]", "no record"),
    "two": (GOOD + GOOD, "no JSON"),
    "cut": (GOOD[:-20], "no JSON"),
    "long": (" " * (1 << 20) + GOOD, "characters"),
    "deep list": ("[" * 100_000, "deeply"),
    "deep object": ('{"kind":' * 100_000, "deeply"),
    "deep field": (GOOD.replace('"facts":{}', f'"facts":{"[" * 900 + "]" * 900}'), "a list of 1"),
    "twice": (GOOD.replace('"round":0', '"round":0,"round":1'), "twice"),
    "NaN": (GOOD.replace('"wall":0.0002', '"wall":NaN'), "NaN"),
    "infinite": (GOOD.replace('"wall":0.0002', '"wall":Infinity'), "Infinity"),
    "overflow": (GOOD.replace('"wall":0.0002', '"wall":1e999'), "wall"),
    "digits": (GOOD.replace('"round":0', f'"round":{"9" * 10_000}'), "no JSON"),
    "large": (GOOD.replace('"round":0', f'"round":{"9" * 3_000}'), "many digits"),
    "kind": (put("kind", value="program"), "measurement"),
    "kind of kind": (put("kind", value=["measurement"]), "not known"),
    "other kind": (put("kind", value="decision"), "untuned"),
    "unknown key": (put("secnods", value=1), "did you mean `seconds`"),
    "unknown key within": (put("subject", "thread", value=1), "did you mean `threads`"),
    "missing": (changed(lambda record: record.pop("wall")), "`wall` is missing"),
    "no subject": (put("subject", value=None), "subject"),
    "text for number": (put("seconds", value="1e-3"), "'1e-3'"),
    "true for number": (put("round", value=True), "True"),
    "fraction": (put("subject", "batch", value=1.5), "1.5"),
    "negative": (put("seconds", value=-1), "-1"),
    "no time": (put("seconds", value=0), "seconds"),
    "number for text": (put("reason", value=5), "reason"),
    "surrogate": (put("sweep", value="\ud800"), "no text"),
    "nul": (put("sweep", value="a\0b"), "no text"),
    "endless": (put("reason", value="x" * 10_000), "at most"),
    "time": (put("at", value="2026-13-45T00:00:00Z"), "no time"),
    "stage": (put("stage", value="finale"), "did you mean `final`"),
    "plan": (put("configuration", "plan", value={"block_m": "64"}), "block_m"),
    "name in a plan": (put("configuration", "plan", value={"../../x": 1}), "no name"),
    "wide": (put("facts", value={f"a{i}": 1 for i in range(1_000)}), "no mapping"),
    "nest in facts": (put("facts", value={"a": {"b": 1}}), "an object"),
    "escape": (put("stage", value="\x1b[31mred"), "\\x1b"),
    "pickle": ('{"py/object": "os.system"}', "no record"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_is_refused(name: str) -> None:
    line, word = HOSTILE[name]
    refused(lambda: lines.from_line(line, place="sweep.jsonl:7"), "sweep.jsonl:7", word)


def test_what_makes_the_lines_hostile_is_their_change() -> None:
    assert lines.from_line(changed(lambda record: None)) == turn(facts={"clock": 2.0})


def test_a_difference_takes_the_median_of_the_final_rounds() -> None:
    a = [turn(n, block_m=64, round=n, stage="final", seconds=s) for n, s in enumerate((1.0, 2.0, 9.0))]
    a += [turn(9, block_m=64, seconds=50.0), turn(0, block_m=32, seconds=1.0), turn(1, status="failed", block_m=128)]
    b = [turn(n, block_m=64, seconds=4.0, sweep="b") for n in range(3)] + [turn(0, block_m=16), decision()]
    found = {one.plan["block_m"]: (one.a, one.b, one.ratio) for one in lines.diff(a, b)}
    assert found == {64: (2.0, 4.0, 2.0), 32: (1.0, None, None), 16: (None, 1e-4, None)}
    assert lines.diff(a, b)[0].plan["block_m"] == 64, "the largest change is first"


def test_a_difference_is_of_equal_subjects() -> None:
    a, b = [turn()], [turn(subject=replace(SUBJECT, name="other")), turn(subject=replace(SUBJECT, seqlen_kv=4095))]
    assert [(one.a is None, one.b is None) for one in lines.diff(a, b)] == [(False, False), (True, False)]


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_recorded_sweeps_can_be_read(path: Path) -> None:
    with open(path, encoding="utf-8") as file:
        rows = list(lines.read(file, path.name))
    assert rows
    with pytest.raises(StoreError):
        lines.from_line("{}")
