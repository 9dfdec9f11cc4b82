"""The shape of the loops: as few as a person would write, and the text of the common ones."""

from __future__ import annotations

import numpy as np
import pytest

import attngen as ag
from attngen.expr.show import show
from attngen.expr.simplify import simplify
from attngen.tiling.build import build_inverse, build_schedule
from attngen.tiling.schedule import Schedule

IDS = np.repeat(np.arange(8, dtype=np.int32), 64)
PARAMS = {"W": "int32", "P": "int32", "S": "int32"}


def mask_of(mask: object, params: str = "") -> ag.AttentionSpec:
    return ag.AttentionSpec("case", (4, 2), 64, mask=mask, params={name: PARAMS[name] for name in params})


def schedule_of(mask: object, params: str = "") -> Schedule:
    return build_schedule(simplify(mask_of(mask, params).definition.mask), q_tile=128, kv_tile=64)


def shape(schedule: Schedule) -> tuple[int, int]:
    """(full, masked) loops."""
    count = {False: 0, True: 0}
    for sweep in schedule.sweeps:
        count[sweep.masked] += len(sweep.intervals)
    return count[False], count[True]


CLOSED = {
    "full": (ag.full(), "", 1, 1),
    "causal": (ag.causal(), "", 1, 1),
    "causal, top left": (ag.causal("top_left"), "", 1, 1),
    "window": (ag.causal() & ag.sliding_window(4096), "", 1, 2),
    "window W": (ag.sliding_window("W"), "W", 1, 2),
    "window, both sides": (ag.sliding_window(256, 128), "", 1, 2),
    "small window": (ag.sliding_window(64), "", 0, 1),
    "windows of heads": (ag.sliding_window(np.array([256, 512, 1024, 4096], np.int32)), "", 1, 2),
    "sink or window": (ag.causal() & (ag.sink(4) | ag.sliding_window(1024)), "", 1, 3),
    "prefix": (ag.prefix_lm(100), "", 1, 1),
    "prefix P": (ag.prefix_lm("P"), "P", 1, 1),
    "prefixes of a batch": (ag.prefix_lm(np.array([5, 200], np.int32)), "", 1, 1),
    "documents": (ag.document(IDS), "", 1, 2),
    "causal documents": (ag.causal() & ag.document(IDS), "", 1, 2),
    "cu_seqlens": (ag.causal() & ag.document(cu_seqlens=np.array([0, 100, 512], np.int32)), "", 1, 2),
    "chunked": (ag.chunked(1000), "", 1, 2),
    "causal chunks": (ag.causal() & ag.chunked(8192), "", 1, 2),
    "dilated": (ag.dilated(4), "", 0, 1),
    "strided 64": (ag.strided(64), "", 0, 1),
    "fixed": (ag.fixed(128, 8), "", 0, 2),
    "global": (ag.global_tokens(16), "", 1, 1),
    "global S": (ag.global_tokens("S"), "S", 1, 1),
    "longformer": (ag.global_tokens(16) | ag.sliding_window(256, 256), "", 2, 3),
    "neighborhood 1-D": (ag.neighborhood(1000, 13), "", 0, 1),
    "lengths": (ag.lengths(q=np.array([5, 9], np.int32), kv=np.array([7, 90], np.int32)), "", 1, 1),
    "causal key lengths": (ag.causal() & ag.lengths(kv=np.array([7, 90], np.int32)), "", 1, 1),
}

LISTED = {
    "strided 1024": ag.strided(1024),
    "bigbird": ag.bigbird(),
    "neighborhood 2-D": ag.neighborhood((56, 56), (13, 13)),
    "neighborhood 3-D": ag.neighborhood((16, 16, 16), (3, 3, 3)),
    "swin": ag.local_window((56, 56), (7, 7), 3),
    "vertical and slash": ag.vertical_slash(np.arange(0, 99, 9, dtype=np.int32), np.array([0, 33], np.int32)),
    "tree": ag.tree(np.array([-1, 0, 0, 1], np.int32)),
    "block map": ag.block_sparse(np.eye(8, dtype=np.bool_)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_form(name: str) -> None:
    mask, params, full, masked = CLOSED[name]
    schedule = schedule_of(mask, params)
    assert not schedule.tile_list, schedule.why_list
    assert shape(schedule) == (full, masked)
    assert not schedule.empty


@pytest.mark.parametrize("name", LISTED)
def test_list(name: str) -> None:
    schedule = schedule_of(LISTED[name])
    assert schedule.tile_list
    assert schedule.why_list
    assert not schedule.sweeps


def test_full_sweeps_come_first_and_nothing_unused_is_bound() -> None:
    schedule = schedule_of(ag.causal() & ag.document(IDS))
    assert [sweep.masked for sweep in schedule.sweeps] == [False, True]
    text = " ".join(show(side) for sweep in schedule.sweeps for i in sweep.intervals for side in (i.lo, i.hi))
    assert all(bound.name in text for bound in schedule.bounds)


def test_causal_as_a_person_writes_it() -> None:
    (full,), (masked,) = (sweep.intervals for sweep in schedule_of(ag.causal()).sweeps)
    assert show(full.lo) == "0"
    assert show(full.hi) == "(128 * q_tile + N - M + 1) // 64"
    assert show(masked.hi) == "minimum((N + 63) // 64, (128 * q_tile + N - M + 191) // 64)"


def test_raw_causal_needs_no_floor_of_a_negative() -> None:
    full, masked = (sweep.intervals[0] for sweep in schedule_of(ag.causal("top_left")).sweeps)
    assert show(full.hi) == "minimum(N // 64, 2 * q_tile)"
    assert masked.lo is full.hi


def test_steps_are_loops_with_a_stride() -> None:
    first = schedule_of(ag.fixed(128, 8)).sweeps[0].intervals[0]
    assert (show(first.lo), first.step) == ("1", 2)


def test_dead_ends_are_named() -> None:
    assert schedule_of("kv < 0").empty
    assert schedule_of("kv <= q & kv > q").empty
    everything = schedule_of("kv < N")
    assert shape(everything) == (1, 1)
    assert not everything.bound_check
    assert schedule_of(ag.full()).bound_check


def test_bound_check_is_known_from_the_mask() -> None:
    assert not schedule_of(ag.causal()).bound_check
    assert schedule_of(ag.causal("top_left")).bound_check  # M may exceed N
    assert schedule_of(ag.prefix_lm(100)).bound_check
    assert schedule_of(ag.document(IDS)).bound_check  # keys beyond the end read the last id


def test_heads_inside_a_tile_take_the_extreme_window() -> None:
    mask = simplify(mask_of(ag.sliding_window(np.array([1, 2, 3, 4], np.int32))).definition.mask)
    apart = build_schedule(mask, q_tile=128, kv_tile=64)
    packed = build_schedule(mask, q_tile=16, kv_tile=64, row_heads=True)
    assert {bound.reduce for bound in apart.bounds} == {"uniform"}
    assert {bound.reduce for bound in packed.bounds} <= {"min", "max"}


def test_one_schedule_a_mask() -> None:
    mask = simplify(mask_of(ag.causal()).definition.mask)
    assert build_schedule(mask, q_tile=64, kv_tile=64) is build_schedule(mask, q_tile=64, kv_tile=64)


def test_inverse_of_causal() -> None:
    mask = simplify(mask_of(ag.causal("top_left")).definition.mask)
    inverse = build_inverse(mask, q_tile=128, kv_tile=64)
    assert shape(inverse) == (1, 2)  # masked: the diagonal, and the last rows of queries
    assert "kv_tile" in show(inverse.sweeps[0].intervals[0].lo)


def test_names_of_users_never_reach_isl() -> None:
    made = schedule_of("kv <= q & q - kv < W", "W")
    assert shape(made) == (1, 2)
    spec = ag.AttentionSpec("case", 1, 64, mask="kv <= q & q - kv < and_or", params={"and_or": "int32"})
    assert shape(build_schedule(simplify(spec.definition.mask), q_tile=128, kv_tile=64)) == (1, 2)


def test_a_mask_of_many_levels_is_served_by_a_list() -> None:
    made = schedule_of(" | ".join(f"kv == q - {7 * i}" for i in range(200)))
    assert made.tile_list
    assert "deep" in made.why_list
