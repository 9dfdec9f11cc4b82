"""Every mask and every score against the oracle: all dtypes, odd lengths, both alignments of q and kv."""

from __future__ import annotations

import pytest
import torch

import attngen as ag
from attngen.checking.check import check
from attngen.checking.poison import LAYOUTS
from tests.oracle.variants import MASKS, SCORES, spec

DTYPES = ("fp32", "fp16", "bf16")
LENGTHS_AND_TILES = (((1, 17), (32, 32)), ((63, 85), (64, 32)), ((85, 63), (64, 64)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MASKS)
def test_mask(name: str, dtype: str) -> None:
    for (m, n), blocks in LENGTHS_AND_TILES:
        check(spec(MASKS[name](m, n)), 2, m, n, dtype, blocks=blocks)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCORES)
def test_score(name: str, dtype: str) -> None:
    for (m, n), blocks in LENGTHS_AND_TILES:
        check(spec(ag.causal(), SCORES[name](m, n)), 2, m, n, dtype, blocks=blocks)


@pytest.mark.parametrize("name", ["causal", "window", "sink", "document_cu_seqlens", "strided", "global_tokens"])
def test_long_queries_and_few_keys(name: str) -> None:
    check(spec(MASKS[name](1000, 77), heads=(2, 1)), 1, 1000, 77, "bf16", blocks=(128, 32))


@pytest.mark.parametrize("name", ["causal", "window", "sink", "chunked", "fixed", "bigbird", "callable"])
def test_many_key_tiles(name: str) -> None:
    """Interior tiles: a mask that is asked only at the edges loses something in the middle."""
    check(spec(MASKS[name](70, 300), heads=(2, 1)), 1, 70, 300, "fp16", blocks=(32, 32))


@pytest.mark.parametrize("name", MASKS)
def test_packed_heads(name: str) -> None:
    """Few queries: the heads of a group share a tile, so h varies over its rows."""
    for m in (1, 5):
        check(spec(MASKS[name](m, 85), ag.alibi(), heads=(4, 1)), 2, m, 85, "fp32")


@pytest.mark.parametrize("group", [3, 7])
def test_packed_heads_of_an_odd_group(group: int) -> None:
    check(spec(ag.causal(), heads=(2 * group, 2)), 1, 3, 50, "bf16")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    for name in ("causal", "document_ids", "block_sparse"):
        check(spec(MASKS[name](33, 70), ag.softcap(5.0)), 2, 33, 70, "fp16", blocks=(32, 32), layout=layout)


def test_one_key_batch_serves_all() -> None:
    check(spec(ag.causal(), ag.alibi()), 2, 33, 50, "fp32", blocks=(32, 32), kv_batch=1)


@pytest.mark.parametrize("name", SCORES)
def test_huge_logits(name: str) -> None:
    check(spec(ag.causal(), SCORES[name](40, 70)), 2, 40, 70, "bf16", blocks=(32, 32), magnitude=60.0)


@pytest.mark.parametrize("dim", [8, 24, 40, 64, 80, 96, 100, (48, 32), (32, 80), (192, 128), 256])
def test_head_dimensions(dim: object) -> None:
    check(spec(ag.causal(), dim=dim, heads=(2, 1)), 1, 33, 70, "fp16", blocks=(32, 32))


@pytest.mark.parametrize("sink", ["off_by_one", "learned"])
@pytest.mark.parametrize("name", MASKS)
def test_sinks(name: str, sink: str) -> None:
    logits = "off_by_one" if sink == "off_by_one" else torch.tensor([0.5, -3.0, 2.0, 8.0])
    check(spec(MASKS[name](40, 70), sink=logits), 2, 40, 70, "fp32", blocks=(32, 32))


def test_score_that_drops_all_keys_of_a_row() -> None:
    """Without a mask every tile is full, and yet the first rows of one may keep nothing."""
    drop = lambda score, b, h, q, k: torch.where(q >= k + 40, score, -torch.inf)  # noqa: E731
    check(spec(None, drop, heads=(1, 1)), 1, 70, 70, "fp32", blocks=(32, 32))


def test_score_that_adds_a_constant_beside_a_sink() -> None:
    """What is the same for every key is left out of the scores, but the sink must know of it."""
    for sink in ("off_by_one", torch.tensor([0.5, -3.0, 2.0, 8.0])):
        check(spec(ag.causal(), "2.0 * score + 3.0", sink=sink), 1, 33, 40, "fp32", blocks=(32, 32))


@pytest.mark.parametrize("name", MASKS)
def test_sigmoid(name: str) -> None:
    check(spec(MASKS[name](40, 70), normalizer=ag.sigmoid(bias=-2.0)), 2, 40, 70, "fp32", blocks=(32, 32))
