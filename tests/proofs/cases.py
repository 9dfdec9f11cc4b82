"""Every mask of the vocabulary that has a closed form, and the tile shapes that the planner uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch

import attngen as ag
from attngen.pipeline import Generated, generate
from attngen.planner.plan import Plan
from tests.proofs.claims import Prover


@dataclass(frozen=True)
class Shape:
    """Tile sizes. With ``pack``, the rows of a tile are (query, head) pairs: block_m // pack queries."""

    block_m: int
    block_n: int
    heads: tuple[int, int] = (8, 2)
    pack: int = 1
    descriptors: bool = False

    def __str__(self) -> str:
        packed = f", {self.pack} heads packed" if self.pack > 1 else ""
        return f"{self.block_m} x {self.block_n}{packed}{', descriptors' if self.descriptors else ''}"

    @property
    def plan(self) -> Plan:
        sizes = {"block_m": self.block_m, "block_n": self.block_n, "pack": self.pack}
        return replace(_plan(), **sizes, descriptors=self.descriptors, overlap=self.descriptors)  # type: ignore[arg-type]


@cache
def _plan() -> Plan:
    """What the planner makes of a plain variant: the proofs only change its tile sizes."""
    return generate(ag.AttentionSpec("plain", heads=(8, 2), head_dim=64, dtype="bf16"), "h100").plan


SHAPES = (
    Shape(128, 128, descriptors=True),
    Shape(128, 64),
    Shape(64, 64, descriptors=True),
    Shape(64, 32),
    Shape(16, 64),
    Shape(16, 128),
    Shape(64, 64, pack=4),
    Shape(64, 128, pack=4, descriptors=True),
    Shape(16, 64, heads=(6, 2), pack=4),  # three heads on four lanes
)


@dataclass(frozen=True)
class Case:
    """A mask, with symbolic numbers where the vocabulary takes them. ``listed``: shapes that have no closed form."""

    mask: Callable[[], Any]
    params: tuple[str, ...] = ()
    tensors: Mapping[str, ag.TensorSpec] = field(default_factory=dict)
    listed: Callable[[Shape], bool] = lambda shape: False


_IDS = {"ids": ag.TensorSpec(("B", "N"), "int32")}
_CU = {"ends": ag.TensorSpec((9,), "int32")}


def _ones(count: int) -> torch.Tensor:
    """Data that only has a rank and a dtype: a proof is for all values, and all lengths that the launcher takes."""
    return torch.ones(count, dtype=torch.int32)


def _raw_documents() -> Any:
    ids = _ones(8)
    return lambda b, h, q, kv: ids[q] == ids[kv]


CASES: Mapping[str, Case] = {
    "full": Case(ag.full),
    "causal": Case(ag.causal),
    "causal, top left": Case(lambda: ag.causal(align="top_left")),
    "sliding_window": Case(lambda: ag.sliding_window("W"), ("W",)),
    "sliding_window, both sides": Case(lambda: ag.sliding_window("W", "R"), ("W", "R")),
    "sliding_window of each head": Case(lambda: ag.sliding_window(_ones(8))),
    "causal sliding_window": Case(lambda: ag.causal() & ag.sliding_window("W"), ("W",)),
    "sink": Case(lambda: ag.sink("S"), ("S",)),
    "streaming: sink or window": Case(lambda: ag.causal() & (ag.sink("S") | ag.sliding_window("W")), ("S", "W")),
    "prefix_lm": Case(lambda: ag.prefix_lm("P"), ("P",)),
    "prefix_lm of each batch": Case(lambda: ag.prefix_lm(_ones(2))),
    "document, ids": Case(lambda: ag.document(ids="ids"), tensors=_IDS),
    "document, captured ids": Case(lambda: ag.document(ids=_ones(8))),
    "document, raw rows": Case(_raw_documents),
    "document, cu_seqlens": Case(lambda: ag.causal() & ag.document(cu_seqlens="ends"), tensors=_CU),
    "document in a window": Case(
        lambda: ag.causal() & ag.sliding_window("W") & ag.document(ids="ids"), ("W",), tensors=_IDS
    ),
    "other documents": Case(lambda: ag.causal() & ~ag.document(ids="ids"), tensors=_IDS),
    "chunked 128": Case(lambda: ag.chunked(128)),
    "chunked 200": Case(lambda: ag.chunked(200)),
    "chunked 23": Case(lambda: ag.chunked(23)),
    "chunked 8192, causal": Case(lambda: ag.causal() & ag.chunked(8192)),
    "dilated": Case(lambda: ag.dilated(3)),
    "dilated window": Case(lambda: ag.dilated(3) & ag.sliding_window("W"), ("W",)),
    "strided 9": Case(lambda: ag.strided(9)),
    "strided 128": Case(lambda: ag.strided(128), listed=lambda shape: shape.block_n != 128),
    "fixed 16": Case(lambda: ag.fixed(16, 3)),
    "fixed 128": Case(lambda: ag.fixed(128, 8)),
    "fixed 2048": Case(lambda: ag.fixed(2048, 8)),
    "global_tokens": Case(lambda: ag.global_tokens("G"), ("G",)),
    "longformer": Case(lambda: ag.global_tokens(16) | ag.sliding_window(256, 256)),
    "neighborhood": Case(lambda: ag.neighborhood((1000,), (7,))),
    "lengths": Case(lambda: ag.lengths(q=_ones(2), kv=_ones(2))),
    "lengths, causal": Case(lambda: ag.causal() & ag.lengths(kv=_ones(2))),
    "outside a window": Case(lambda: ag.causal() & ~ag.sliding_window("W"), ("W",)),
    "a callable": Case(lambda: lambda b, h, q, kv: (q - kv < 100) & (q >= kv) | (kv < 40)),
    "nothing": Case(lambda: "kv < 0"),
}

LISTED: Mapping[str, Callable[[], Any]] = {
    "bigbird": lambda: ag.bigbird(),
    "neighborhood, 2-D": lambda: ag.neighborhood((64, 64), (7, 7)),
    "neighborhood, dilated": lambda: ag.neighborhood((6, 14), (3, 3), (1, 2)),
    "neighborhood, 3-D": lambda: ag.neighborhood((8, 16, 16), (3, 5, 5)),
    "local_window": lambda: ag.local_window((56, 56), (7, 7), (3, 3)),
    "strided 2048": lambda: ag.strided(2048),
    "vertical_slash": lambda: ag.vertical_slash(torch.tensor([1]), torch.tensor([2])),
    "tree": lambda: ag.tree(parents=torch.tensor([-1, 0])),
    "tree of bits": lambda: ag.tree(ancestor_bits=torch.tensor([[1], [3]])),
    "block_sparse": lambda: ag.block_sparse(torch.ones(3, 3, dtype=torch.bool)),
}
"""Masks whose tiles come from a list at the call: nothing in their text is to be proven. `attngen.tiling.tile_list`
is checked against every pair instead."""


def emitted(case: Case, shape: Shape) -> Generated:
    """The text of a case, and what it was made from."""
    spec = ag.AttentionSpec(
        "proof",
        heads=shape.heads,
        head_dim=64,
        mask=case.mask(),
        params=dict.fromkeys(case.params, "int32"),
        tensors=dict(case.tensors),
        dtype="bf16",
    )
    return generate(spec, plan=shape.plan)


def prover(made: Generated, text: str | None = None) -> Prover:
    """The claims about a text; ``text`` in place of the one that was emitted."""
    plan, heads = made.plan, made.definition.heads.q
    return Prover(text or made.text, made.definition.mask, made.schedule, plan.block_q, heads)
