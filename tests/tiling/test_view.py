"""`attngen.schedule`: printed loops, tiles, counts, the inverse."""

from __future__ import annotations

import numpy as np
import pytest

import attngen as ag
from attngen.errors import CallError, SpecError

MISTRAL = ag.AttentionSpec("mistral_7b", (32, 8), 128, mask=ag.causal() & ag.sliding_window(4096))


def test_prints_loops() -> None:
    text = str(ag.schedule(MISTRAL, q_tile=128, kv_tile=64))
    assert "for q_tile in range((M + 127) // 128):" in text
    assert "# full tiles: every key is kept" in text
    assert text.count(": masked") == 2
    assert text.count(": unmasked") == 1
    assert all(len(line) > 1 for line in text.splitlines())


def test_prints_bounds_of_data() -> None:
    text = str(ag.schedule(ag.AttentionSpec("docs", 1, 64, mask=ag.document(np.array([0, 0, 1], np.int32)))))
    assert "ids_first_min = min(ids_first[q] for q in rows of the tile)" in text


def test_prints_lists_and_nothing() -> None:
    assert "partial_tiles[q_tile]" in str(ag.schedule(ag.AttentionSpec("bb", 1, 64, mask=ag.bigbird())))
    assert "no tile is visited" in str(ag.schedule(ag.AttentionSpec("none", 1, 64, mask="kv < 0")))


def test_tiles_of_causal() -> None:
    tiles = ag.schedule(ag.AttentionSpec("causal", 1, 64, mask="causal"), q_tile=64, kv_tile=64).tiles(256)
    assert tiles.dtype == np.int8
    assert tiles.tolist() == [[1, 0, 0, 0], [2, 1, 0, 0], [2, 2, 1, 0], [2, 2, 2, 1]]


@pytest.mark.parametrize(
    ("mask", "params"),
    [("causal", {}), ("causal & sliding_window(W)", {"W": 200}), (ag.bigbird(), {}), ("kv < 0", {}),
     (ag.sliding_window(np.array([64, 100, 300, 900], np.int32)), {}),
     (ag.lengths(kv=np.array([10, 500], np.int32)), {}),
     (ag.block_sparse(np.random.default_rng(0).random((4, 8, 8)) < 0.4), {})],
)  # fmt: skip
@pytest.mark.parametrize(("m", "n"), [(700, 900), (1, 77), (300, 100)])
def test_counts_are_sums_of_tiles(mask: object, params: dict[str, int], m: int, n: int) -> None:
    spec = ag.AttentionSpec("case", (4, 2), (64, 32), mask=mask, params=dict.fromkeys(params, "int32"))
    view = ag.schedule(spec, q_tile=64, kv_tile=32)
    counts = view.counts(m, n, batch=2, params=params)
    every = [view.tiles(m, n, params=params, b=b, h=h) for b in range(2) for h in range(4)]
    assert counts.tiles_full == sum(int((tiles == 2).sum()) for tiles in every)
    assert counts.tiles_partial == sum(int((tiles == 1).sum()) for tiles in every)
    assert counts.tiles_total == sum(tiles.size for tiles in every)
    assert counts.flops == 2 * (counts.tiles_full + counts.tiles_partial) * 64 * 32 * (64 + 32)
    assert counts.bytes == 2 * 2 * (4 * m + 2 * n) * (64 + 32)
    assert counts.bytes_loaded >= 2 * 2 * 4 * m * (64 + 32)


def test_counting_a_million_keys_is_no_work() -> None:
    counts = ag.schedule(MISTRAL).counts(1 << 20)
    assert counts.tiles_total == 32 * (1 << 13) * (1 << 14)
    assert counts.tiles_full + counts.tiles_partial < counts.tiles_total / 200


@pytest.mark.parametrize("mask", ["causal", "causal & sliding_window(100)", ag.bigbird(block=32), ag.chunked(100)])
def test_inverse_visits_the_same_tiles(mask: object) -> None:
    view = ag.schedule(ag.AttentionSpec("case", 2, 64, mask=mask), q_tile=64, kv_tile=32)
    there, back = view.inverse(), view.inverse().inverse()
    for m, n in ((300, 300), (128, 320), (77, 500)):
        assert np.array_equal(view.tiles(m, n) > 0, there.tiles(m, n) > 0)
        assert np.array_equal(view.tiles(m, n), back.tiles(m, n))
        counts = there.counts(m, n)
        assert counts.tiles_full + counts.tiles_partial == 2 * int((view.tiles(m, n) > 0).sum())
    assert "for kv_tile in range((N + 31) // 32):" in str(there)


def test_tensors_are_replaced_by_name() -> None:
    declared = ag.AttentionSpec(
        "case", 1, 64, mask="kv < size_of[b]", tensors={"size_of": ag.TensorSpec(("B",), "int32")}
    )
    view = ag.schedule(declared, q_tile=64, kv_tile=64)
    tiles = view.tiles(64, 256, tensors={"size_of": np.array([0, 130], np.int32)}, b=1)
    assert tiles.tolist() == [[2, 2, 1, 0]]
    with pytest.raises(CallError, match="size_of"):
        view.tiles(64, 256)


@pytest.mark.parametrize("size", [0, -64, 4096])
def test_impossible_tiles(size: int) -> None:
    with pytest.raises(SpecError, match="kv_tile"):
        ag.schedule(MISTRAL, kv_tile=size)
