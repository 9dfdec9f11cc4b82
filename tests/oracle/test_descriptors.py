"""What tiles of 64 rows and more have on Hopper: tensor descriptors, and the product with V one tile late."""

from __future__ import annotations

import pytest
import torch

import attngen as ag
from attngen.checking.check import check
from attngen.language.definition import Blocks
from attngen.pipeline import generate
from tests.oracle.variants import MASKS, spec

NAMES = ("full", "causal", "window", "sink", "prefix_lm", "document_ids", "document_ids_unordered", "chunked",
         "global_tokens", "bigbird", "lengths", "window_per_head", "negated", "nothing")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_masks_at_several_full_tiles_and_at_none(name: str) -> None:
    for m, n in ((70, 300), (130, 40)):
        made = spec(MASKS[name](m, n), heads=(2, 1), dim=64)
        check(made, 1, m, n, "bf16", blocks=(64, 32))


def test_a_tile_without_keys_reads_no_values() -> None:
    """Rows from 30 on keep no key; those of the second tile visit none, so that what V holds cannot reach them."""
    made = spec(lambda b, h, q, k: k >= q + 100, heads=(2, 1), dim=64, dtype="bf16", blocks=Blocks(64, 32))
    attention = ag.compile(made, target="h100")
    q, k, v = (torch.randn(1, heads, 130, 64).bfloat16() for heads in (2, 1, 1))
    v[:] = torch.nan
    out = attention(q, k, v)
    assert (out[:, :, 64:] == 0).all()
    assert out[:, :, :30].isnan().all()


@pytest.mark.parametrize("dim", [64, 96, (192, 128), 256])
def test_widths(dim: object) -> None:
    check(
        spec(ag.causal() & ag.sliding_window(200), ag.softcap(5.0), dim=dim, heads=(2, 2)),
        1,
        70,
        300,
        "fp16",
        blocks=(64, 32),
    )


def test_that_is_what_was_tested() -> None:
    made = spec(ag.causal(), heads=(2, 1), dim=64, dtype="bf16", blocks=Blocks(64, 32))
    plan = generate(made, "h100").plan
    assert plan.descriptors and plan.overlap, plan
