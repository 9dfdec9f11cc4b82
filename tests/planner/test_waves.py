"""List scheduling, against a simulation that walks through time."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import attngen as ag
from attngen.planner.candidates import Candidate
from attngen.planner.counted import counted
from attngen.planner.waves import Work, least_span, makespan, rectangle

DURATIONS = st.lists(st.integers(1, 12), min_size=1, max_size=8)


def simulated(durations: Sequence[int], times: int, slots: int) -> int:
    """Tick by tick: whoever is idle takes the next block."""
    waiting = list(durations) * times
    busy, now = [0] * slots, 0
    while waiting or any(busy):
        for slot in range(slots):
            if not busy[slot] and waiting:
                busy[slot] = waiting.pop(0)
        busy = [max(0, left - 1) for left in busy]
        now += 1
    return now


@given(DURATIONS, st.integers(1, 9), st.integers(1, 7))
def test_as_the_clock_ticks(durations: list[int], times: int, slots: int) -> None:
    # up to twelve waves nothing is spread evenly, so that the result is exact
    times = min(times, 12 * slots // len(durations))
    assume(times)
    assert makespan(durations, times, slots) == simulated(durations, times, slots)


@given(DURATIONS, st.integers(1, 40), st.integers(1, 9))
def test_between_the_bounds_of_any_order(durations: list[int], times: int, slots: int) -> None:
    least, span = least_span(durations, times, slots), makespan(durations, times, slots)
    assert least <= span + 1e-9
    assert span <= sum(durations) * times / slots + max(durations) + 1e-9


def test_long_queues_are_near_what_simulating_all_of_them_gives() -> None:
    draw = random.Random(0)
    for _ in range(20):
        durations = [draw.randint(1, 64) for _ in range(draw.randint(1, 64))]
        times, slots = draw.randint(200, 400), draw.randint(8, 32)
        assert makespan(durations, times, slots) == pytest.approx(simulated(durations, times, slots), rel=0.01)


def test_the_last_wave_counts_whole() -> None:
    assert makespan([5.0], 9, 4) == 15
    assert makespan([5.0], 8, 4) == 10
    assert makespan([1.0, 7.0], 1, 4) == 7


def test_longest_first_ends_no_later_under_a_causal_mask() -> None:
    ascending = list(range(1, 65))
    assert makespan(ascending[::-1], 32, 132) < makespan(ascending, 32, 132)


def test_the_work_is_that_of_the_schedule() -> None:
    """Causal with a window, tile by tile from the mask itself."""
    spec = ag.AttentionSpec(name="w", heads=4, head_dim=64, mask=ag.causal() & ag.sliding_window(100))
    rows, keys, length = 64, 32, 500
    full, masked = [], []
    for row in range(0, length, rows):
        queries = range(row, min(row + rows, length))
        kept = [
            sum(k < length and 0 <= q - k < 100 for q in queries for k in range(key, key + keys))
            for key in range(0, length, keys)
        ]
        full.append(sum(count == len(queries) * keys for count in kept))
        masked.append(sum(0 < count < len(queries) * keys for count in kept))
    work = counted(spec, length, {}, {})(Candidate(rows, keys, 4, 2, 1, (64,), (64,), False))
    assert work == Work(tuple(full[::-1]), tuple(masked[::-1]), 4)
    assert work.blocks == 32


def test_heads_that_differ_are_blocks_of_their_own() -> None:
    spec = ag.AttentionSpec(name="h", heads=2, head_dim=64, mask="q - kv < 64 * (h + 1) & kv <= q")
    work = counted(spec, 256, {}, {})(Candidate(64, 64, 4, 2, 1, (64,), (64,), False))
    assert (len(work.full), work.times, work.blocks) == (8, 1, 8)
    visited = [int(full + masked) for full, masked in zip(work.full, work.masked, strict=True)]
    assert sorted(visited) == sorted([1, 2, 2, 2, 1, 2, 3, 3])


def test_a_rectangle() -> None:
    assert rectangle(3, 7, 2).blocks == 6
    assert sum(rectangle(3, 7, 2).full) * 2 == 42
