"""Recorded sweeps again: the same file makes the same sweep, and what is in the store is not measured again."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path

import pytest

from attngen.errors import AttngenError
from attngen.records.row import Measurement
from attngen.records.store import Store, StoreError
from attngen.tune.recorded import Recorded
from attngen.tune.replay import replay
from attngen.tune.result import Progress
from attngen.tune.space import choice_of
from tests.tune.kit import SWEEP, SWEEPS, turns

BY_NAME = pytest.mark.parametrize("file", SWEEPS, ids=lambda path: path.stem)


def test_there_are_recordings_of_several_kinds() -> None:
    assert len(SWEEPS) >= 4
    subjects = [Recorded.load(path).subject for path in SWEEPS]
    assert len({subject.loose for subject in subjects}) == len(SWEEPS)
    assert any(subject.decode for subject in subjects)


@BY_NAME
def test_a_sweep_repeats_itself(file: Path, tmp_path: Path) -> None:
    first, second = (replay(file, tmp_path / name) for name in ("a.sqlite", "b.sqlite"))
    assert first.best == second.best
    assert (first.ratio, first.noise, first.measured) == (second.ratio, second.noise, second.measured)
    assert turns(tmp_path / "a.sqlite") == turns(tmp_path / "b.sqlite")
    assert first.measured == len(turns(tmp_path / "a.sqlite"))


@BY_NAME
def test_the_second_run_measures_nothing(file: Path, tmp_path: Path) -> None:
    first = replay(file, tmp_path / "store.sqlite")
    again = replay(file, tmp_path / "store.sqlite")
    assert again.measured == 0
    assert again.reused == first.measured
    assert (again.best, again.ratio, again.failed) == (first.best, first.ratio, first.failed)


@BY_NAME
@pytest.mark.parametrize("effort", ["quick", "full"])
def test_what_wins_is_not_slower_than_the_untuned_plan(file: Path, effort: str, tmp_path: Path) -> None:
    result = replay(file, tmp_path / "store.sqlite", effort=effort)
    rows = Recorded.load(file).rows

    def median(plan: object) -> float:
        return statistics.median(row.seconds for row in rows[choice_of(dict(plan))])  # type: ignore[call-overload]

    assert result.ratio >= 1.0
    assert median(result.best) <= 1.02 * median(result.untuned)
    with Store.open(tmp_path / "store.sqlite", readonly=True) as store:
        (decision,) = store.decisions()
    assert dict(decision.configuration.plan) == dict(result.best)
    assert decision.ratio == result.ratio


class _Full(Store):
    """A store whose disk is full after some rows."""

    room = 0

    def add(self, measurement: Measurement) -> bool:
        if type(self).room == 0:
            raise StoreError("database or disk is full", place=str(self.path), remedy="free space on that disk")
        type(self).room -= 1
        return super().add(measurement)


@pytest.mark.parametrize("room", [0, 1, 7, 23])
def test_after_a_full_disk_the_sweep_goes_on(room: int, tmp_path: Path) -> None:
    whole = replay(SWEEP, tmp_path / "whole.sqlite")
    _Full.room = room
    path = tmp_path / "store.sqlite"
    with _Full.open(path) as store, pytest.raises(StoreError, match="disk is full"):
        replay(SWEEP, store)
    assert len(turns(path)) == room
    result = replay(SWEEP, path)
    assert result.reused == room
    assert turns(path) == turns(tmp_path / "whole.sqlite")
    assert (result.best, result.ratio) == (whole.best, whole.ratio)


def test_ctrl_c_ends_with_what_is_known(tmp_path: Path) -> None:
    def stop(now: Progress) -> None:
        if now.done >= 10:
            raise KeyboardInterrupt

    result = replay(SWEEP, tmp_path / "store.sqlite", progress=stop)
    assert result.interrupted
    assert len(turns(tmp_path / "store.sqlite")) == result.measured >= 10
    with Store.open(tmp_path / "store.sqlite", readonly=True) as store:
        assert not store.decisions(), "half a sweep decides nothing"
    whole = replay(SWEEP, tmp_path / "whole.sqlite")
    rest = replay(SWEEP, tmp_path / "store.sqlite")
    assert (rest.best, rest.measured + rest.reused) == (whole.best, whole.measured)


def test_a_budget_ends_the_search_and_more_of_it_goes_on(tmp_path: Path) -> None:
    short = replay(SWEEP, tmp_path / "store.sqlite", processes=True, pause_s=0.03, budget_s=1.0)
    whole = replay(SWEEP, tmp_path / "whole.sqlite")
    assert 0 < short.measured < whole.measured
    rest = replay(SWEEP, tmp_path / "store.sqlite")
    assert rest.reused > 0
    assert rest.measured + rest.reused >= whole.measured


def test_a_recorded_failure_costs_that_configuration(tmp_path: Path) -> None:
    """The best plan of a recording fails from now on: another one wins, and the failure is kept."""
    best = replay(SWEEP, tmp_path / "a.sqlite").best
    file = tmp_path / "failing.jsonl"
    lines = []
    for line in SWEEP.read_text().splitlines():
        row = json.loads(line)
        if row["configuration"]["plan"] == dict(best):
            row |= {"status": "failed", "seconds": 0.0, "wall": 0.0, "reason": "crashed: SIGSEGV (signal 11)"}
        lines.append(json.dumps(row))
    file.write_text("\n".join(lines))
    result = replay(file, tmp_path / "b.sqlite")
    assert result.best != best
    assert (dict(best), "crashed: SIGSEGV (signal 11)") in [(dict(plan), reason) for plan, reason in result.failures]
    assert result.failed == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "nonsense", '{"kind":"decision"}', "\x00" * 40, '{"kind":"measurement","subject":7}']
)
def test_a_hostile_recording_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    file.write_text(text)
    with pytest.raises(StoreError):
        replay(file, tmp_path / "store.sqlite")


def test_two_subjects_are_no_sweep(tmp_path: Path) -> None:
    file = tmp_path / "sweep.jsonl"
    file.write_text("".join(path.read_text() for path in SWEEPS[:2]))
    with pytest.raises(AttngenError, match="2 subjects"):
        replay(file, tmp_path / "store.sqlite")


def test_noise_that_changes_sides_keeps_the_untuned_plan(tmp_path: Path) -> None:
    """Every configuration as fast as the untuned one, give or take: nothing may win."""
    recorded = Recorded.load(SWEEP)
    from attngen.records.lines import to_line

    lines = [
        to_line(dataclasses.replace(row, seconds=0.01 * (1 + 0.03 * ((i * 7919 + n * 104729) % 17 - 8) / 8)))
        for i, rows in enumerate(recorded.rows.values())
        for n, row in enumerate(rows)
    ]
    file = tmp_path / "noise.jsonl"
    file.write_text("\n".join(lines))
    result = replay(file, tmp_path / "store.sqlite")
    assert result.ratio <= 1.03
