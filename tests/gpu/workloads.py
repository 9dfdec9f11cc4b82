"""What is timed: variants by head dimension and length, with the FLOPs that each needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

import attngen as ag

HIDDEN = 2048
"""Width of all query heads together: 32 heads of 64, or 16 of 128."""
TOKENS = 16384
"""Of a call: shorter sequences come in larger batches."""
LENGTHS = (1024, 2048, 4096, 8192, 16384)
DIMS = (64, 128)
DECODE_BATCHES = (1, 16, 64)
WINDOW = 1024
CAP = 50.0
DOCUMENTS = (8, 4, 2, 1, 1)
"""Sixteenths of a sequence: uneven documents."""


@dataclass(frozen=True)
class Variant:
    """One way to attend, as each rival wants to hear it.

    ``pairs``: how many pairs of m queries and n keys are kept in one head. ``mask_mod`` and ``score_mod`` are
    FlexAttention's; None where there is none. ``causal``: aligned at the last key, which is the first where m = n.
    """

    name: str
    mask: Callable[[int], Any]
    pairs: Callable[[int, int], int]
    causal: bool = False
    window: int = 0
    cap: float = 0.0
    documents: bool = False
    decode: bool = False


def documents_of(n: int) -> list[int]:
    """Lengths of the documents of a sequence."""
    lengths = [part * n // sum(DOCUMENTS) for part in DOCUMENTS]
    return [*lengths[:-1], n - sum(lengths[:-1])]


def ids_of(n: int) -> torch.Tensor:
    """The document of each token, int32 [n]."""
    lengths = torch.tensor(documents_of(n))
    return torch.repeat_interleave(torch.arange(len(lengths)), lengths).int()


def _triangle(n: int) -> int:
    return n * (n + 1) // 2


def _band(n: int, width: int) -> int:
    return _triangle(min(n, width)) + max(0, n - width) * width


VARIANTS = (
    Variant("full", lambda n: ag.full(), lambda m, n: m * n),
    Variant("causal", lambda n: ag.causal(), lambda m, n: _triangle(n), causal=True),
    Variant(
        "window",
        lambda n: ag.causal() & ag.sliding_window(WINDOW),
        lambda m, n: _band(n, WINDOW),
        causal=True,
        window=WINDOW,
    ),
    Variant("softcap", lambda n: ag.causal(), lambda m, n: _triangle(n), causal=True, cap=CAP),
    Variant(
        "documents",
        lambda n: ag.causal() & ag.document(ids=ids_of(n)),
        lambda m, n: sum(map(_triangle, documents_of(n))),
        causal=True,
        documents=True,
    ),
    Variant("decode", lambda n: ag.causal(), lambda m, n: m * n, causal=True, decode=True),
)


@dataclass(frozen=True)
class Workload:
    """One row of the table."""

    variant: Variant
    batch: int
    heads: tuple[int, int]
    dim: int
    m: int
    n: int
    dtype: str

    def __str__(self) -> str:
        q, kv = self.heads
        return f"{self.variant.name} B={self.batch} H={q}/{kv} D={self.dim} M={self.m} N={self.n} {self.dtype}"

    @property
    def flops(self) -> int:
        """Of the two products over kept pairs, nothing else."""
        return 4 * self.dim * self.variant.pairs(self.m, self.n) * self.heads[0] * self.batch

    @property
    def bytes(self) -> int:
        """Of q, k, v and out, each moved once."""
        element = 4 if self.dtype == "fp32" else 2
        q, kv = self.heads
        return element * self.dim * self.batch * 2 * (q * self.m + kv * self.n)

    def spec(self) -> Any:
        score = ag.softcap(self.variant.cap) if self.variant.cap else None
        mask = self.variant.mask(self.n)
        return ag.AttentionSpec(self.variant.name, self.heads, self.dim, mask=mask, score=score, dtype=self.dtype)


def workloads(
    names: Sequence[str] = (),
    dims: Sequence[int] = DIMS,
    lengths: Sequence[int] = LENGTHS,
    dtype: str = "bf16",
    tokens: int = TOKENS,
) -> Iterator[Workload]:
    """In the order of the table; all variants if no ``names`` are given."""
    for variant in VARIANTS:
        if names and variant.name not in names:
            continue
        for dim in dims:
            for n in lengths:
                if variant.decode:
                    for batch in DECODE_BATCHES:
                        yield Workload(variant, batch, (HIDDEN // 64, HIDDEN // 256), dim, 1, n, dtype)
                    continue
                heads = HIDDEN // dim
                yield Workload(variant, max(1, tokens // n), (heads, heads), dim, n, n, dtype)
                if variant.name == "causal":  # the same with grouped heads
                    yield Workload(variant, max(1, tokens // n), (heads, heads // 4), dim, n, n, dtype)
