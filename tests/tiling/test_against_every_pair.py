"""The schedule against brute force: random masks, lengths and tile sizes. ATTNGEN_FUZZ_CASES sets how many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attngen.tiling.build import build_inverse, build_schedule
from attngen.tiling.schedule import Schedule
from tests.tiling.cases import BATCH, CASES, HEADS, LENGTHS, TILES, Tally, dense, judge, random_call, random_case

CALLS_A_MASK = 5
PARTS = 4


def _listed(schedule: Schedule) -> Schedule:
    """The same mask served by a tile list."""
    return replace(schedule, sweeps=(), bounds=(), tile_list=True, empty=False)


@pytest.mark.parametrize("part", range(PARTS))
def test_random_masks(part: int) -> None:
    rng = np.random.default_rng(1000 + part)
    closed, loose, lists, inverses = Tally(), Tally(), Tally(), Tally()
    while closed.cases + loose.cases + lists.cases + inverses.cases < CASES // PARTS:
        case = random_case(rng)
        q_tile, kv_tile = TILES[rng.integers(len(TILES))]
        schedule = build_schedule.__wrapped__(case.mask, q_tile=q_tile, kv_tile=kv_tile)
        inverse = build_inverse.__wrapped__(case.mask, q_tile=q_tile, kv_tile=kv_tile) if rng.random() < 0.3 else None
        for _ in range(CALLS_A_MASK):
            m, n = int(rng.choice(LENGTHS)), int(rng.choice(LENGTHS))
            call = random_call(rng, m, n)
            batch, head = int(rng.integers(BATCH)), int(rng.integers(HEADS))
            text = f"{case.name}, M = {m}, N = {n}, tiles {q_tile} x {kv_tile}, {dict(call.params)}"
            tally = lists if schedule.tile_list else loose if case.loose else closed
            tally.add(judge(schedule, call, batch, head), text)
            if not schedule.tile_list and rng.random() < 0.1:
                lists.add(judge(_listed(schedule), call, batch, head), f"list of {text}")
            if inverse is not None:
                inverses.add(judge(inverse, call, batch, head, inverse=True), f"inverse of {text}")
    wrong = closed.unsound + loose.unsound + lists.unsound + inverses.unsound
    assert not wrong, "\n".join(wrong[:5])
    assert closed.wasted <= 0.01 * closed.needed, f"{closed.wasted} of {closed.needed} tiles in vain"
    assert inverses.wasted <= 0.01 * inverses.needed
    assert lists.wasted == 0, "a list holds exactly the tiles that exist"
    assert lists.full_missed == 0
    # a full tile that two parts of a union fill together is masked all the same
    assert closed.full_missed <= 0.2 * closed.full, f"{closed.full_missed} of {closed.full} full tiles are masked"


def test_bound_check_is_left_out_only_where_the_mask_ends_with_the_keys() -> None:
    """Without the check a partial tile keeps what the mask alone keeps: nothing beyond the last key."""
    rng = np.random.default_rng(3)
    left_out = 0
    for _ in range(150):
        case = random_case(rng)
        schedule = build_schedule(case.mask, q_tile=64, kv_tile=32)
        if schedule.bound_check:
            continue
        left_out += 1
        m, n = int(rng.choice(LENGTHS)), int(rng.choice(LENGTHS))
        call = random_call(rng, m, n)
        beyond = dense(case.mask, call, 1, 2, keys=np.arange(n, n + 32))
        assert not beyond.any(), f"{case.name}, M = {m}, N = {n}"
    assert left_out > 20


def test_packed_heads() -> None:
    """Rows of a tile that belong to several heads: h varies inside the tile."""
    rng = np.random.default_rng(7)
    tally = Tally()
    for _ in range(60):
        case = random_case(rng)
        q_tile, kv_tile = TILES[rng.integers(len(TILES))]
        schedule = build_schedule(case.mask, q_tile=q_tile, kv_tile=kv_tile, row_heads=True)
        call = random_call(rng, int(rng.choice(LENGTHS)), int(rng.choice(LENGTHS)))
        call = replace(call, heads_a_tile=2)
        for made in (schedule, _listed(schedule)):
            batch, group = int(rng.integers(BATCH)), int(rng.integers(HEADS // 2))
            tally.add(judge(made, call, batch, group), f"{case.name} {call.M} x {call.N}, list {made.tile_list}")
    assert not tally.unsound, "\n".join(tally.unsound[:5])
