"""Tile lists: exact, in the promised order, at the cost of the tiles that exist."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import attngen as ag
from attngen.expr.op import Expr
from attngen.expr.simplify import simplify
from attngen.tiling import tile_list
from attngen.tiling.boxes import Boxes
from attngen.tiling.build import build_schedule
from attngen.tiling.call import Call
from attngen.tiling.schedule import Schedule
from tests.tiling.cases import needed

RNG = np.random.default_rng(0)
MASKS = {
    "bigbird": ag.bigbird(),
    "bigbird, small blocks": ag.causal() & ag.bigbird(block=16, random=2, seed=5),
    "strided": ag.strided(512),
    "fixed": ag.fixed(100, 7),
    "neighborhood 1-D, dilated": ag.neighborhood(700, 9, 3),
    "neighborhood 2-D": ag.neighborhood((25, 30), (7, 5)),
    "neighborhood 2-D, dilated": ag.neighborhood((24, 30), (5, 5), 2),
    "neighborhood 3-D": ag.neighborhood((8, 9, 10), (3, 3, 5)),
    "swin": ag.local_window((28, 28), (7, 7)),
    "swin, shifted": ag.local_window((28, 28), (7, 7), 3),
    "vertical and slash": ag.vertical_slash(np.array([0, 5, 400], np.int32), np.array([0, 1, 33, 90], np.int32)),
    "vertical and slash of heads": ag.vertical_slash(
        RNG.integers(0, 700, (4, 6)).astype(np.int32), RNG.integers(0, 200, (4, 3)).astype(np.int32)
    ),
    "tree": ag.tree(np.array([-1, 0, 0, 1, 1, 2, 2, 3], np.int32)),
    "tree of bits": ag.tree(ancestor_bits=np.array([[1], [3], [5], [11]], np.int32)),
    "block map": ag.block_sparse(RNG.random((4, 6, 6)) < 0.3, 128),
    "block map with holes": ag.causal() & ag.block_sparse(RNG.random((7, 9)) < 0.5, (100, 90)),
    "every pair by data": lambda b, h, q, kv: PAIRS[q, kv],
    "float of data": lambda b, h, q, kv: (FLOATS[q] - FLOATS[kv]).abs() < 0.2,
    "unsorted ids": lambda b, h, q, kv: (UNSORTED[q] == UNSORTED[kv]) & KEYS[kv],
}
PAIRS = RNG.random((800, 900)) < 0.001
FLOATS = np.cumsum(RNG.normal(size=900) / 20).astype(np.float32)
FLOATS[7] = np.nan
UNSORTED = RNG.integers(0, 9, 900).astype(np.int32)
KEYS = RNG.random(900) < 0.8


def listed(name: str, q_tile: int = 64, kv_tile: int = 32) -> tuple[Schedule, dict[Any, Any]]:
    spec = ag.AttentionSpec("case", (4, 2), 64, mask=MASKS[name])
    return build_schedule(simplify(spec.definition.mask), q_tile=q_tile, kv_tile=kv_tile), dict(spec.captured)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(("m", "n"), [(700, 700), (130, 777), (1, 500), (333, 100)])
def test_exact(name: str, m: int, n: int) -> None:
    schedule, captured = listed(name)
    call = Call(m, n, 1, 4, {}, captured)
    found = tile_list.build(schedule, call)
    assert found.offsets.dtype == found.split.dtype == found.indices.dtype == np.int32
    for head in range(found.offsets.shape[1]):
        some, every = needed(schedule.mask, call, 64, 32, 0, head)
        if n % 32:
            every[:, -1] = False
        for row in range(-(-m // 64)):
            start, middle, end = (int(x) for x in (found.offsets[0, head, row], found.split[0, head, row],
                                                   found.offsets[0, head, row + 1]))  # fmt: skip
            partial, full = found.indices[start:middle], found.indices[middle:end]
            assert list(partial) == list(np.flatnonzero(some[row] & ~every[row]))
            assert list(full) == list(np.flatnonzero(some[row] & every[row]))


def test_rows_follow_each_other_through_heads_and_batches() -> None:
    lengths = np.array([40, 300, 700], np.int32)
    maps = RNG.random((4, 6, 6)) < 0.3
    spec = ag.AttentionSpec("case", (4, 2), 64, mask=ag.block_sparse(maps, 128) & ag.lengths(kv=lengths))
    schedule = build_schedule(simplify(spec.definition.mask), q_tile=64, kv_tile=32)
    call = Call(500, 700, 3, 4, {}, dict(spec.captured))
    found = tile_list.build(schedule, call)
    assert found.offsets.shape == (3, 4, 9)
    assert found.offsets[0, 0, 0] == 0
    assert found.offsets[-1, -1, -1] == len(found.indices)
    assert np.array_equal(found.offsets.reshape(12, 9)[1:, 0], found.offsets.reshape(12, 9)[:-1, -1])


def test_dimensions_the_mask_does_not_know_have_size_one() -> None:
    schedule, captured = listed("bigbird")
    assert tile_list.build(schedule, Call(128, 128, 5, 4, {}, captured)).split.shape == (1, 1, 2)
    schedule, captured = listed("vertical and slash of heads")
    assert tile_list.build(schedule, Call(128, 128, 5, 4, {}, captured)).split.shape == (1, 4, 2)


@pytest.mark.parametrize(
    ("name", "n"), [("bigbird", 65536), ("strided", 32768), ("vertical and slash", 65536), ("block map", 768)]
)
def test_cost_is_that_of_the_tiles(name: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes looked at, against tiles that exist (and rows of tiles) times the depth of the halving."""
    looked_at = 0
    evaluate = Boxes.evaluate

    def counted(self: Boxes, expr: Expr, index: Any) -> Any:
        nonlocal looked_at
        looked_at += len(index["q"][0])
        return evaluate(self, expr, index)

    monkeypatch.setattr(Boxes, "evaluate", counted)
    schedule, captured = listed(name, 128, 64)
    found = tile_list.build(schedule, Call(n, n, 1, 4, {}, captured))
    rows, columns = n // 128 * found.offsets.shape[1], n // 64
    assert looked_at <= 8 * (len(found.indices) + rows) * np.log2(columns)


def test_nothing_kept() -> None:
    schedule, captured = listed("block map")
    captured = {name: np.zeros_like(value) for name, value in captured.items()}
    found = tile_list.build(schedule, Call(300, 300, 1, 4, {}, captured))
    assert len(found.indices) == 0
    assert not found.offsets.any()
