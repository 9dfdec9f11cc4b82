"""Bounds that random masks seldom have: stepped tiles in a window, quotients, negated and unknown conditions."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from attngen.tiling.build import build_schedule
from attngen.tiling.intervals import Piece, _bound_through
from attngen.tiling.linear import Linear
from tests.tiling.cases import b, h, ids, judge, key_flags, kv, pos, q, random_call, row_starts, windows

MASKS = {
    "columns in a window": (kv % 256 < 64) & (kv <= pos) & (pos - kv < 700),
    "columns from the diagonal on": (kv % 384 >= 320) & (kv > pos),
    "quotient of keys": kv // 3 <= pos // 2 - 5,
    "quotient of rows": (pos + 4) // 7 >= kv // 5 + 2,
    "quotient of a distance": ((pos - kv) // 7 < 9) & (kv <= pos),
    "quotient that ends with a tile": kv // 3 <= 20,
    "quotient rounded up": (-kv) // 6 >= (-pos) // 4,
    "not below the window of a head": ~(pos - kv < windows(h)) & (kv <= pos),
    "not from the start of a row on": ~(kv >= row_starts(q)),
    "not at most the window of a head": ~(kv <= windows(h)),
    "unknown data": (kv <= pos) & (ids(b, kv) % 3 == ids(b, pos) % 2),
    "unknown or near": (pos - kv < 100) & (key_flags(b, kv) | (kv == pos)),
}


@pytest.mark.parametrize("name", MASKS)
def test_against_every_pair(name: str) -> None:
    rng = np.random.default_rng(5)
    for q_tile, kv_tile in ((64, 32), (16, 16), (32, 64)):
        schedule = build_schedule(MASKS[name].expr, q_tile=q_tile, kv_tile=kv_tile)
        for m, n in ((200, 200), (77, 500), (1000, 1000), (333, 128)):
            verdict = judge(schedule, random_call(rng, m, n), 1, 2)
            assert not verdict.unsound, f"{m} x {n}, tiles {q_tile} x {kv_tile}: {verdict.unsound}"


def test_the_last_key_of_a_tile_is_the_first_that_is_kept() -> None:
    call = random_call(np.random.default_rng(1), 100, 200)
    call.tensors["row_starts"][:] = 31
    for mask in (~(kv < row_starts(q)), ~(row_starts(q) > kv), kv >= row_starts(q)):
        schedule = build_schedule(mask.expr, q_tile=32, kv_tile=16)
        assert not judge(schedule, call, 0, 0).unsound


def test_a_list_for_packed_heads_holds_the_tiles_of_all_of_them() -> None:
    schedule = build_schedule(((kv <= pos) & (pos - kv < windows(h))).expr, q_tile=32, kv_tile=16, row_heads=True)
    listed = replace(schedule, sweeps=(), bounds=(), tile_list=True, empty=False)
    call = replace(random_call(np.random.default_rng(1), 300, 300), heads_a_tile=2)
    for wide in ((1, 250, 1, 250), (250, 1, 250, 1)):
        call.tensors["windows"][:] = wide
        for group in (0, 1):
            assert not judge(listed, call, 0, group).unsound


@pytest.mark.parametrize("kv_tile", [16, 32, 64])
def test_a_chunk_that_ends_between_tiles_visits_none_in_vain(kv_tile: int) -> None:
    for size in (72, 80, 96):
        schedule = build_schedule((pos // size == kv // size).expr, q_tile=16, kv_tile=kv_tile)
        verdict = judge(schedule, random_call(np.random.default_rng(2), 1000, 1000), 0, 0)
        assert not verdict.unsound and verdict.wasted == 0, size


@pytest.mark.parametrize("factor", [-3, -1, 1, 2])
@pytest.mark.parametrize(("own", "divisor"), [(1, 2), (1, 5), (3, 4), (4, 3)])
def test_a_bound_through_a_quotient_is_exact(factor: int, own: int, divisor: int) -> None:
    """factor * floor((own * j + shift) / divisor) + rest >= 0: isl mostly removes such quotients itself."""
    for shift, rest in itertools.product((-5, 0, 1, 4), range(-9, 10)):
        piece = Piece()
        assert _bound_through(factor, Linear({}, rest), (own, Linear({}, shift), divisor), piece)
        tiles = range(-60, 61)
        kept = [j for j in tiles if all(low.value <= j for low in piece.lows)]
        kept = [j for j in kept if all(j < high.value for high in piece.highs)]
        assert kept == [j for j in tiles if factor * ((own * j + shift) // divisor) + rest >= 0], (shift, rest)
