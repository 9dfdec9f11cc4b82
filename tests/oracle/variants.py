"""One small instance of everything in the vocabulary, for m queries and n keys, batch 2 and 4 heads at most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

import attngen as ag

GRID_2D, GRID_3D = (5, 17), (3, 4, 7)


def _ids(n: int, *, batch: int | None = None, in_order: bool = True) -> torch.Tensor:
    ids = torch.randint(0, 4, (n,) if batch is None else (batch, n), generator=torch.Generator().manual_seed(n))
    return (ids.sort(-1).values if in_order else ids).int()


def _parents(m: int) -> torch.Tensor:
    return torch.tensor([-1, *[(i - 1) // 2 for i in range(1, m)]])


def _ancestor_bits(m: int) -> torch.Tensor:
    words = torch.zeros(m, (m + 31) // 32, dtype=torch.int64)
    parents = _parents(m).tolist()
    for node in range(m):
        current = node
        while current >= 0:
            words[node, current // 32] |= 1 << (current % 32)
            current = parents[current]
    return torch.where(words >= 2**31, words - 2**32, words).int()


def _tile_map(m: int, n: int) -> torch.Tensor:
    return torch.rand(-(-m // 16), -(-n // 16), generator=torch.Generator().manual_seed(m + n)) < 0.5


MASKS: Mapping[str, Callable[[int, int], Any]] = {
    "full": lambda m, n: ag.full(),
    "causal": lambda m, n: ag.causal(),
    "causal_top_left": lambda m, n: ag.causal(align="top_left"),
    "window": lambda m, n: ag.sliding_window(19),
    "window_both_sides": lambda m, n: ag.sliding_window(7, 25),
    "sink": lambda m, n: ag.causal() & (ag.sink(4) | ag.sliding_window(21)),
    "prefix_lm": lambda m, n: ag.prefix_lm(11),
    "document_ids": lambda m, n: ag.document(ids=_ids(n)),
    "document_ids_per_batch": lambda m, n: ag.document(ids=_ids(n, batch=2)),
    "document_ids_unordered": lambda m, n: ag.document(ids=_ids(n, in_order=False)),
    "document_cu_seqlens": lambda m, n: ag.document(cu_seqlens=torch.tensor([0, n // 3, n // 3, n])),
    "chunked": lambda m, n: ag.chunked(23),
    "dilated": lambda m, n: ag.dilated(3),
    "strided": lambda m, n: ag.strided(9),
    "fixed": lambda m, n: ag.fixed(16, 3),
    "global_tokens": lambda m, n: ag.global_tokens(3) | ag.sliding_window(8, 8),
    "bigbird": lambda m, n: ag.bigbird(block=16, window=3, globals=1, random=1, seed=7),
    "neighborhood_1d": lambda m, n: ag.neighborhood((n,), (7,)) if n >= 7 else ag.full(),
    "neighborhood_2d": lambda m, n: ag.neighborhood(GRID_2D, (3, 5)),
    "neighborhood_2d_dilated": lambda m, n: ag.neighborhood((6, 14), (3, 3), (1, 2)),
    "neighborhood_3d": lambda m, n: ag.neighborhood(GRID_3D, (3, 3, 3)),
    "local_window": lambda m, n: ag.local_window((6, 14), (3, 7)),
    "local_window_shifted": lambda m, n: ag.local_window((6, 14), (3, 7), (1, 3)),
    "vertical_slash": lambda m, n: ag.vertical_slash(torch.tensor([0, 5, 40]), torch.tensor([0, 1, 13])),
    "tree_parents": lambda m, n: ag.tree(parents=_parents(m)),
    "tree_bits": lambda m, n: ag.tree(ancestor_bits=_ancestor_bits(m)),
    "block_sparse": lambda m, n: ag.block_sparse(_tile_map(m, n), block=(16, 16)),
    "lengths": lambda m, n: ag.lengths(q=torch.tensor([m, m // 2]), kv=torch.tensor([n // 3, n])),
    "window_per_head": lambda m, n: ag.sliding_window(torch.tensor([3, 17, 40, 9])),
    "callable": lambda m, n: lambda b, h, q, kv: ((q + 2 * kv) % 7 < 4) & (q >= kv - 9),
    "callable_table": lambda m, n: _table_mask(m, n),
    "negated": lambda m, n: ~ag.sliding_window(5) & ag.causal(),
    "nothing": lambda m, n: "kv < 0",
}


def _table_mask(m: int, n: int) -> Any:
    table = torch.rand(4, m, n, generator=torch.Generator().manual_seed(3)) < 0.3
    return lambda b, h, q, kv: table[h][q, kv]


SCORES: Mapping[str, Callable[[int, int], Any]] = {
    "alibi": lambda m, n: ag.alibi(),
    "alibi_slopes": lambda m, n: ag.alibi(torch.tensor([0.5, 0.1, 0.03, 0.01])),
    "softcap": lambda m, n: ag.softcap(3.0),
    "temperature": lambda m, n: ag.temperature(1.7),
    "relative_bias": lambda m, n: ag.relative_bias(torch.randn(4, 31, generator=torch.Generator().manual_seed(1))),
    "t5_bias": lambda m, n: ag.t5_bias(
        torch.randn(16, 4, generator=torch.Generator().manual_seed(2)), buckets=16, max_distance=40, bidirectional=True
    ),
    "bias": lambda m, n: ag.bias(torch.randn(4, m, n, generator=torch.Generator().manual_seed(4))),
    "bias_of_keys": lambda m, n: ag.bias(torch.randn(2, 1, 1, n, generator=torch.Generator().manual_seed(5))),
    "decay": lambda m, n: ag.decay(-torch.rand(2, 4, n, generator=torch.Generator().manual_seed(6)).cumsum(-1) * 0.1),
    "callable": lambda m, n: (
        lambda score, b, h, q, kv: torch.where(q >= kv, score * 0.5, score - (kv - q).abs() * 0.05)
    ),
    "masking_callable": lambda m, n: lambda score, b, h, q, kv: torch.where((q + kv) % 3 == 0, score, -float("inf")),
    "string": lambda m, n: "score + 0.25 * sin(float(q - kv)) + float(h)",
}


PER_HEAD = {"window_per_head", "callable_table", "alibi_slopes", "relative_bias", "t5_bias", "bias", "decay"}
"""What has values for each of four heads."""


def spec(mask: Any = None, score: Any = None, *, heads: tuple[int, int] = (4, 2), dim: Any = 16, **more: Any) -> Any:
    return ag.AttentionSpec("variant", heads=heads, head_dim=dim, mask=mask, score=score, **more)
