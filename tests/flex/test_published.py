"""Published callables, unchanged: the kernel against the oracle, the oracle against FlexAttention's eager path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import attngen as ag
from attngen.checking.check import check
from tests.flex import masks, mods
from tests.flex.masks import BATCH, HEADS, KV_HEADS, Use
from tests.support.flex import flex_reference

DIM = 16
MASKS = masks.MASKS | masks.OTHERS
MODS = mods.MODS | mods.OTHERS
EXACT = {"rtol": 1e-11, "atol": 1e-11}


@pytest.fixture(autouse=True)
def eager_in_double() -> Iterator[None]:
    """What FlexAttention makes of an integer index (``h * 8.0``) has torch's default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def spec(mask: Any = None, score: Any = None, heads: tuple[int, int] = (HEADS, KV_HEADS)) -> ag.AttentionSpec:
    return ag.AttentionSpec("published", heads, DIM, mask=mask, score=score)


def inputs(use: Use) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(use.m)
    shapes = ((HEADS, use.m), (KV_HEADS, use.n), (KV_HEADS, use.n))
    return [torch.randn(BATCH, heads, rows, DIM, generator=generator) for heads, rows in shapes]


def assert_oracles_agree(use: Use, mask: Any = None, score: Any = None) -> None:
    q, k, v = inputs(use)
    out, lse = ag.reference(spec(mask, score), q, k, v)
    flex_out, flex_lse = (x.detach().numpy() for x in flex_reference(q, k, v, mask, score))
    np.testing.assert_allclose(out, flex_out, **EXACT)
    np.testing.assert_allclose(lse, flex_lse, **EXACT)


@pytest.mark.parametrize("name", MASKS)
def test_mask_means_what_flex_attention_says(name: str) -> None:
    assert_oracles_agree(MASKS[name], mask=MASKS[name].mod)


@pytest.mark.parametrize("name", MASKS)
def test_mask_in_the_kernel(name: str) -> None:
    use = MASKS[name]
    check(spec(use.mod), BATCH, use.m, use.n, "fp32", blocks=(32, 16))


@pytest.mark.parametrize("name", MODS)
def test_score_mod_means_what_flex_attention_says(name: str) -> None:
    # torch multiplies two fp32 numbers of tables in fp32: in double, both sides have the exact product
    mod = MODS[name](torch.float64)
    assert_oracles_agree(Use(mod, mods.M, mods.N), score=mod)


@pytest.mark.parametrize("name", MODS)
def test_score_mod_in_the_kernel(name: str) -> None:
    check(spec(None, MODS[name](torch.float32)), BATCH, mods.M, mods.N, "fp32", blocks=(32, 16))


@pytest.mark.parametrize("name", mods.MODS)
def test_score_mod_behind_a_mask(name: str) -> None:
    """Both callables in one spec, one key/value head for all query heads, few queries: heads share a tile."""
    mask = masks.global_sliding_window(9, torch.arange(mods.N) % 7 == 0)
    check(spec(mask, MODS[name](torch.float32), (HEADS, 1)), BATCH, 5, mods.N)


def test_callables_join_the_vocabulary() -> None:
    use = MASKS["doc_mask"]
    mask = (ag.causal() & use.mod) | (lambda b, h, q, k: k < 3)
    check(spec(mask, [mods.alibi(HEADS), ag.softcap(4.0)]), BATCH, 77, 77, "fp32", blocks=(32, 32))


@pytest.mark.parametrize("function", [F.gelu, F.relu])
def test_an_activation_instead_of_the_softmax(function: Any) -> None:
    """The epilogue of the trick stays with the caller: out and lse are all that it needs."""
    attend = ag.compile(spec(score=mods.activation(function)))
    q, k, v = (x.float() for x in inputs(Use(function, 45, 61)))
    out, lse = attend(q, k, v, return_lse=True)
    got = mods.undo_softmax(out, lse, v.sum(-2, keepdim=True).repeat_interleave(2, dim=1))
    k, v = (x.double().repeat_interleave(2, dim=1) for x in (k, v))
    want = function(q.double() @ k.mT / DIM**0.5) @ v
    torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-4)


def test_the_list_is_complete() -> None:
    assert len(masks.MASKS) == 22
    assert len(mods.MODS) == 7


@pytest.mark.parametrize("name", MASKS)
def test_each_mask_keeps_some_pairs_and_drops_some(name: str) -> None:
    """A mask that is all true or all false at its size would test nothing."""
    use = MASKS[name]
    kept = torch.nn.attention.flex_attention.create_mask(use.mod, BATCH, HEADS, use.m, use.n, device="cpu")
    assert name == "noop" or 0 < kept.double().mean() < 1
