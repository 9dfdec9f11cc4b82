"""What is put in comes out, once, from every process; and only what may stand there."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attngen.errors import StoreError
from attngen.records import columns
from attngen.records.row import Configuration
from attngen.records.store import Store
from tests.records.kit import SUBJECT, decision, start, turn

FAILED = turn(1, status="failed", seconds=math.nan, wall=math.inf, error=math.nan, reason="crashed: signal 11")
ROWS = [
    turn(0, facts={"clock": 2.5, "cache": "warm", "spills": 3}, load=1.5, error=0.4, stage="final", round=7),
    FAILED,
    turn(2, subject=replace(SUBJECT, kind="static", device="", name="<b>'; DROP TABLE subjects"), stage="static"),
    turn(3, reason="übel\n\ud800\0"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite"


def test_rows_come_back_as_they_were(path: Path) -> None:
    with Store.open(path) as store:
        assert all(store.add(row) for row in ROWS)
        store.decide(decision())
        assert store.measurements() == ROWS
    with Store.open(path, readonly=True) as store:
        assert store.measurements() == ROWS
        assert store.decisions() == [decision()]
        assert store.decision(SUBJECT.loose) == decision()
        assert store.decision("nothing") is None
        assert store.subjects() == [ROWS[0].subject, ROWS[2].subject]


def test_what_a_failed_turn_has_no_number_for_is_zero() -> None:
    assert (FAILED.seconds, FAILED.wall, FAILED.error) == (0.0, 0.0, 0.0)
    assert ROWS[3].reason == "übel\n\\ud800\\0"


def test_a_turn_is_kept_once(path: Path) -> None:
    with Store.open(path) as store:
        assert store.add(turn())
        assert not store.add(turn(seconds=5.0)), "the same strict key, stage and round"
        assert store.add(turn(round=1))
        assert store.add(turn(stage="final"))
        assert [row.seconds for row in store.measurements()] == [1e-4] * 3


MADE = turn().configuration


@pytest.mark.parametrize(
    "other",
    [
        *({"subject": replace(SUBJECT, **change)} for change in (
            {"spec": "x"}, {"dtype": "fp16"}, {"target": "avx2"}, {"device": "B"}, {"batch": 2}, {"seqlen_q": 4095},
            {"seqlen_kv": 4095}, {"kind": "static"}, {"threads": 2},
        )),
        *({"configuration": replace(MADE, **change)} for change in (
            {"plan": {"block_m": 65, "block_n": 32}}, {"source": "x"}, {"compiler": "g++ 13"}, {"versions": "x"},
        )),
    ],
)  # fmt: skip
def test_what_may_change_the_time_changes_the_strict_key(other: dict[str, Any]) -> None:
    assert replace(turn(), **other).strict != turn().strict


def test_the_order_of_a_plan_does_not_matter() -> None:
    swapped = Configuration({"block_m": 64, "block_n": 32}, "s0", "g++ 12.2.0", "attngen 0.1.0", 90.0)
    assert swapped == MADE
    assert replace(turn(), configuration=swapped).strict == turn().strict


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"seqlen_q": 2049, "seqlen_kv": 2049}, True),
        ({"seqlen_q": 17}, True),
        ({"threads": 2}, True),
        ({"name": "x"}, True),
        ({"seqlen_kv": 4097}, False),
        ({"seqlen_kv": 2048}, False),
        ({"seqlen_q": 16}, False),
        ({"batch": 2}, False),
        ({"device": "B"}, False),
        ({"kind": "static"}, False),
    ],
)
def test_a_decision_stands_for_a_class_of_shapes(other: dict[str, Any], same: bool) -> None:
    assert (replace(SUBJECT, **other).loose == SUBJECT.loose) is same


def test_classes_have_names() -> None:
    assert SUBJECT.shape_class == "prefill-4096"
    assert replace(SUBJECT, seqlen_q=1, seqlen_kv=20_000).shape_class == "decode-32768"
    assert replace(SUBJECT, seqlen_kv=1, seqlen_q=17).shape_class == "prefill-1"


def test_the_last_decision_of_a_class_stands(path: Path) -> None:
    with Store.open(path) as store:
        store.decide(decision())
        nearby = replace(SUBJECT, seqlen_q=4000, seqlen_kv=4000)
        store.decide(decision(nearby, ratio=2.0))
        assert [(one.ratio, one.subject) for one in store.decisions()] == [(2.0, nearby)]
        store.decide(decision(replace(SUBJECT, batch=8)))
        assert len(store.decisions()) == 2


def test_rows_are_found_by_subject_class_and_sweep(path: Path) -> None:
    near, far = replace(SUBJECT, seqlen_kv=4000), replace(SUBJECT, seqlen_kv=9000)
    with Store.open(path) as store:
        for subject, sweep in ((SUBJECT, "a"), (near, "b"), (far, "b")):
            store.add(turn(subject=subject, sweep=sweep))
        assert [row.subject for row in store.measurements(subject=near)] == [near]
        assert [row.subject for row in store.measurements(loose=SUBJECT.loose)] == [SUBJECT, near]
        assert [row.subject for row in store.measurements(sweep="b")] == [near, far]
        assert [row.subject for row in store.measurements(sweep="b", loose=SUBJECT.loose)] == [near]


def test_prune_by_age_and_by_spec(path: Path) -> None:
    other = replace(SUBJECT, spec="cd" * 32, name="window")
    with Store.open(path) as store:
        store.add(turn(0))
        store.add(turn(1, at=""))  # now
        store.add(turn(2, subject=other))
        store.decide(decision())
        assert store.prune() == 0
        assert store.prune(older_than_days=1, spec="nobody") == 0
        assert store.prune(older_than_days=1, spec="causal") == 2
        assert [row.configuration.source for row in store.measurements()] == ["s1", "s2"]
        assert store.prune(spec=other.spec) == 1
        assert store.subjects() == [SUBJECT]


@pytest.mark.parametrize(
    "bad",
    [
        {"seconds": math.nan}, {"seconds": 0.0}, {"seconds": -1.0}, {"seconds": "1"}, {"wall": math.inf}, {"round": -1},
        {"round": True}, {"stage": "last"}, {"status": "ok"}, {"facts": {"clock": math.nan}}, {"facts": {"a b": 1}},
        {"facts": {"x": None}}, {"at": "yesterday"}, {"subject": replace(SUBJECT, batch=0)}, {"load": 10**400},
        {"configuration": replace(MADE, plan={"m": 1.5})},
        {"subject": replace(SUBJECT, kind="guessed")},
    ],
)  # fmt: skip
def test_a_row_that_could_not_be_read_again_is_refused(path: Path, bad: dict[str, Any]) -> None:
    with Store.open(path) as store:
        with pytest.raises(StoreError, match="way out"):
            store.add(replace(turn(), **bad))
        assert store.measurements() == []
        assert store.subjects() == []


def test_what_is_interrupted_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with Store.open(path) as store, Store.open(path) as other:
        with monkeypatch.context() as patch:
            patch.setattr(columns, "decision_columns", interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.extend([turn(), decision()])
        assert other.measurements() == []
        assert store.add(turn())
        assert other.measurements() == [turn()]


def test_two_processes_write_at_once(path: Path) -> None:
    writers = [start(path, who, 200) for who in ("a", "b")]
    for writer in writers:
        said, complaint = writer.communicate(timeout=120)
        assert writer.returncode == 0, complaint
        assert said.split() == ["open", *map(str, range(200))]
    with Store.open(path) as store:
        rows = store.measurements()
    assert {row.configuration.source for row in rows} == {f"{who}{n}" for who in "ab" for n in range(200)}
    assert len(rows) == 400


def test_threads_share_a_store(path: Path) -> None:
    with Store.open(path) as store:
        threads = [
            threading.Thread(target=lambda who=who: [store.add(turn(n, sweep=who)) for n in range(30)])
            for who in "abcd"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.measurements()) == 120


def test_the_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNGEN_CACHE_DIR", str(tmp_path / "deep" / "cache"))
    with Store.open() as store:
        assert store.path == tmp_path / "deep" / "cache" / "records.sqlite"
        assert store.set_aside == ""
    assert os.listdir(store.path.parent) == ["records.sqlite"], "nothing is left beside it"
