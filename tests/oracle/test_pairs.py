"""Pairs: peers break where two features meet. Each pair runs once, in a dtype and a tiling that rotate."""

from __future__ import annotations

import itertools

import pytest

import attngen as ag
from attngen.checking.check import check
from tests.oracle.test_vocabulary import DTYPES
from tests.oracle.variants import MASKS, PER_HEAD, SCORES, spec

M, N = 37, 75
TILES = ((32, 64), (64, 32))  # a second tile of queries, or a third of keys
MASK_PAIRS = list(itertools.combinations([name for name in MASKS if name != "full"], 2))


def _heads(*names: str) -> tuple[int, int]:
    """Two heads that share keys, where nothing has values for four: what is interpreted takes its time."""
    return (4, 2) if PER_HEAD & set(names) else (2, 1)


def _term(mask: object) -> object:
    """Callables and strings join with & and | once they are part of a vocabulary expression."""
    return ag.full() & mask if callable(mask) or isinstance(mask, str) else mask


@pytest.mark.parametrize("name", MASKS)
def test_mask_with_every_score(name: str) -> None:
    for i, score in enumerate(SCORES):
        variant = spec(MASKS[name](M, N), SCORES[score](M, N), heads=_heads(name, score))
        check(variant, 1, M, N, DTYPES[i % 3], blocks=TILES[i // 2 % 2], seed=i)


@pytest.mark.parametrize("name", SCORES)
def test_score_with_every_score(name: str) -> None:
    for i, other in enumerate(SCORES):
        steps = [SCORES[name](M, N), SCORES[other](M, N)]
        variant = spec(ag.causal(), steps, heads=_heads(name, other))
        check(variant, 1, M, N, DTYPES[i % 3], blocks=TILES[i // 2 % 2], seed=i)


@pytest.mark.parametrize("part", range(12))
def test_mask_with_mask(part: int) -> None:
    for i, (a, b) in list(enumerate(MASK_PAIRS))[part::12]:
        one, other = _term(MASKS[a](M, N)), _term(MASKS[b](M, N))
        joined = one & other if i % 2 else one | other
        check(spec(joined, heads=(2, 1)), 1, M, N, DTYPES[i % 3], blocks=TILES[i // 2 % 2], seed=i)
