"""C++ kernels against the oracle: the vocabulary, dtypes, lengths, strides, heads, and every level of vectors."""

from __future__ import annotations

import contextlib
import importlib
import itertools
from typing import Any

import pytest
import torch

import attngen as ag
from attngen.checking.check import check
from attngen.checking.poison import LAYOUTS
from attngen.errors import PlanError
from attngen.language.definition import Blocks
from tests.oracle.variants import MASKS, SCORES, spec
from tests.support.native import native, this_cpu

pytestmark = pytest.mark.skipif(this_cpu() is None, reason="no level of vector instructions that kernels are made for")
DTYPES = ("fp32", "fp16", "bf16")
LENGTHS = ((63, 85), (85, 63), (1, 17))


def checked(
    variant: Any,
    m: int,
    n: int,
    dtype: str = "fp32",
    *,
    batch: int = 2,
    few: bool = False,
    blocks: tuple[int, int] | None = None,
    target: str | None = None,
    **more: Any,
) -> None:
    """One case; ``few``: planned for m queries, so that the heads of a group are rows of a tile."""
    if blocks:
        variant = variant.replace(blocks=Blocks(*blocks))
    kernel = native(variant, dtype, target, seqlen_q=m if few else None)
    check(variant, batch, m, n, dtype, attention=kernel, **more)


@pytest.mark.parametrize(("name", "dtype"), list(zip(MASKS, itertools.cycle(DTYPES), strict=False)))
def test_mask(name: str, dtype: str) -> None:
    for m, n in LENGTHS:
        checked(spec(MASKS[name](m, n)), m, n, dtype, blocks=(32, 32))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCORES)
def test_score(name: str, dtype: str) -> None:
    for m, n in LENGTHS:
        checked(spec(ag.causal(), SCORES[name](m, n)), m, n, dtype, blocks=(32, 16))


@pytest.mark.parametrize("name", ["causal", "window", "sink", "chunked", "bigbird", "document_cu_seqlens", "callable"])
def test_many_tiles(name: str) -> None:
    checked(spec(MASKS[name](1000, 77), heads=(2, 1)), 1000, 77, "bf16")
    checked(spec(MASKS[name](330, 1003), heads=(2, 1)), 330, 1003, "fp32")


@pytest.mark.parametrize(
    ("name", "q_tiles", "dtype"),
    [
        (name, q_tiles, DTYPES[(i + q_tiles) % 3])
        for i, name in enumerate(("full", "causal", "window", "sink", "chunked", "document_ids", "prefix_lm"))
        for q_tiles in (2, 3, 4)
    ],
)
def test_query_tiles_that_share_keys(name: str, q_tiles: int, dtype: str) -> None:
    """Tiles of different beginnings and ends, some of them beyond the queries, some without a key of the others."""
    for m, n in ((150, 170), (100, 40), (33, 301)):
        variant = spec(MASKS[name](m, n), heads=(2, 1))
        kernel = native(variant, dtype, plan={"q_tiles": q_tiles, "block_n": 16})
        plan = kernel.made.plan
        assert plan.q_tiles == q_tiles and plan.grain < plan.block_n
        check(variant, 2, m, n, dtype, attention=kernel)


@pytest.mark.parametrize(("name", "runs"), [("window", True), ("strided", False), ("bigbird", False)])
def test_scattered_keys_are_visited_in_whole_tiles(name: str, runs: bool) -> None:
    plan = native(spec(MASKS[name](33, 70)), "fp32").made.plan
    assert (plan.grain < plan.block_n) == runs and (runs or plan.q_tiles == 1)
    with pytest.raises(PlanError, match="query tiles that share keys") if not runs else contextlib.nullcontext():
        native(spec(MASKS[name](33, 70)), "fp32", plan={"q_tiles": 2})


@pytest.mark.parametrize("name", ["strided", "bigbird"])
def test_keys_that_are_scattered_at_the_sizes_of_a_plan_only(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the planner believed of small sizes does not hold for the schedule that is emitted."""
    monkeypatch.setattr(importlib.import_module("attngen.planner.cpu.candidates"), "in_runs", lambda *_: True)
    variant = spec(MASKS[name](70, 130), heads=(2, 1))
    kernel = native(variant, "fp32")
    assert kernel.made.plan.grain == kernel.made.plan.block_n and kernel.made.plan.q_tiles == 1
    check(variant, 2, 70, 130, attention=kernel)


@pytest.mark.parametrize("name", MASKS)
def test_packed_heads(name: str) -> None:
    checked(spec(MASKS[name](5, 85), ag.alibi(), heads=(4, 1)), 5, 85, few=True)


@pytest.mark.parametrize("group", [3, 7])
def test_packed_heads_of_an_odd_group(group: int) -> None:
    logits = torch.linspace(-2, 2, 2 * group)
    checked(spec(ag.causal(), heads=(2 * group, 2), sink=logits), 3, 50, "bf16", few=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    for name, dtype in (("causal", "fp32"), ("document_ids", "bf16"), ("block_sparse", "fp16")):
        checked(spec(MASKS[name](33, 70), ag.softcap(5.0)), 33, 70, dtype, layout=layout)


def test_one_key_batch_serves_all() -> None:
    checked(spec(ag.causal(), ag.alibi()), 33, 50, kv_batch=1)


@pytest.mark.parametrize("name", ["alibi", "softcap", "callable", "masking_callable", "string", "temperature"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_huge_logits(name: str, dtype: str) -> None:
    checked(spec(ag.causal(), SCORES[name](40, 70)), 40, 70, dtype, magnitude=60.0)


@pytest.mark.parametrize("dim", [1, 8, 24, 40, 80, 100, 101, (48, 33), (31, 80), (192, 128), 256])
def test_head_dimensions(dim: object) -> None:
    for dtype in DTYPES:
        checked(spec(ag.causal(), dim=dim, heads=(2, 1)), 33, 70, dtype, batch=1)


@pytest.mark.parametrize("sink", ["off_by_one", "learned"])
@pytest.mark.parametrize("name", ["causal", "window", "bigbird", "nothing", "lengths"])
def test_sinks(name: str, sink: str) -> None:
    logits = "off_by_one" if sink == "off_by_one" else torch.tensor([0.5, -3.0, 2.0, 8.0])
    checked(spec(MASKS[name](40, 70), sink=logits), 40, 70)


@pytest.mark.parametrize("name", ["full", "causal", "window", "bigbird", "nothing"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_sigmoid(name: str, dtype: str) -> None:
    checked(spec(MASKS[name](40, 70), normalizer=ag.sigmoid(bias=-2.0)), 40, 70, dtype)


@pytest.mark.parametrize("arch", ["avx512_bf16", "avx512", "avx2", "sse", "neon"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_levels(arch: str, dtype: str) -> None:
    for name, score in (("window", None), ("document_ids", "softcap"), ("bigbird", "t5_bias")):
        variant = spec(MASKS[name](70, 130), SCORES[score](70, 130) if score else None, dim=(40, 24))
        checked(variant, 70, 130, dtype, target=arch)


@pytest.mark.parametrize("name", MASKS)
def test_decode(name: str) -> None:
    checked(spec(MASKS[name](1, 85), ag.alibi(), heads=(4, 1)), 1, 85, few=True)


@pytest.mark.parametrize("name", SCORES)
def test_decode_score(name: str) -> None:
    checked(spec(ag.causal(), SCORES[name](2, 85), heads=(4, 2)), 2, 85, "bf16", few=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_decode_shapes(dtype: str) -> None:
    """Several splits, one query and more than a tile holds, groups of odd size, widths of no whole vectors."""
    logits = torch.linspace(-2, 2, 6)
    for heads, dim in (((4, 1), 64), ((2, 2), (40, 33)), ((6, 2), 7)):
        variant = spec(ag.causal(), ag.alibi(), heads=heads, dim=dim, sink=logits[: heads[0]])
        kernel = native(variant, dtype, seqlen_q=1, plan={"split_keys": 512})
        assert kernel.made.plan.decode
        for m, n in ((1, 3000), (5, 70), (1, 1), (3, 1)):
            check(variant, 2, m, n, dtype, attention=kernel)


@pytest.mark.parametrize("dtype", DTYPES)
def test_decode_huge_logits(dtype: str) -> None:
    """Every lane needs the largest score of its row."""
    checked(spec(ag.causal(), heads=(4, 1), dim=64), 1, 300, dtype, few=True, magnitude=60.0)


@pytest.mark.parametrize("few", [False, True])
def test_division_of_negative_numbers(few: bool) -> None:
    mask = "(q - kv) // 5 % 3 == 1 | (kv - q) % -7 == -3 | kv == q"
    checked(spec(mask), 2 if few else 40, 70, few=few)


PAIRS = (
    ("causal", "alibi", {}),
    ("bigbird", "softcap", {"sink": "off_by_one"}),
    ("document_ids", "t5_bias", {"dim": (48, 33)}),
    ("lengths", None, {"normalizer": ag.sigmoid(bias=-2.0)}),
    ("nothing", None, {"dim": (32, 96)}),
)


@pytest.mark.parametrize(("mask", "score", "more"), PAIRS)
def test_products_of_bf16_pairs(mask: str, score: str | None, more: dict[str, Any]) -> None:
    """Several tiles and decode steps, an odd number of keys, narrow and wide heads, of any strides."""
    for m, n, few in ((70, 131, False), (1, 131, True), (2, 17, True)):
        options = {"heads": (4, 1), **more} | ({"dim": 64} if few else {})
        variant = spec(MASKS[mask](m, n), SCORES[score](m, n) if score else None, **options)
        kernel = native(variant, "bf16", "avx512_bf16", seqlen_q=m if few else None)
        assert "dot_pairs(" in kernel.made.text and kernel.made.plan.decode == few
        check(variant, 2, m, n, "bf16", attention=kernel, layout="unaligned", magnitude=8.0)


@pytest.mark.parametrize("arch", ["avx512", "avx2", "sse", "neon"])
def test_decode_levels(arch: str) -> None:
    checked(spec(MASKS["window"](1, 130), ag.softcap(5.0), dim=40), 1, 130, "bf16", few=True, target=arch)
    checked(spec(MASKS["window"](1, 130), normalizer=ag.sigmoid(bias=-1.0), dim=40), 1, 130, few=True, target=arch)
