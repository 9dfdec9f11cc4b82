"""What is compared: our kernel, SDPA, eager PyTorch and compiled FlexAttention, on one problem."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F

import attngen as ag
from benchmarks.timing import Call

WINDOW, CAP, DOCUMENTS = 512, 20.0, 8
WINDOWS = {"window": WINDOW, "window64": 64}
TORCH = {"fp32": torch.float32, "bf16": torch.bfloat16}
MASKS = ("full", "causal", "window", "softcap", "documents")
EAGER_UP_TO = 2048


@dataclass(frozen=True, slots=True)
class Problem:
    """Forward, batch 1. Documents are 8 of random length, causal inside."""

    mask: str
    dtype: str
    dim: int
    n: int
    heads: tuple[int, int] = (8, 8)
    m: int | None = None

    @property
    def queries(self) -> int:
        return self.m or self.n


def documents(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    cuts = torch.randperm(n - 1, generator=generator)[: DOCUMENTS - 1].sort().values + 1
    return torch.searchsorted(cuts, torch.arange(n), right=True).int()


def spec(problem: Problem) -> ag.AttentionSpec:
    masks: dict[str, Callable[[], Any]] = {
        "full": lambda: None,
        "causal": ag.causal,
        "softcap": ag.causal,
        **{name: partial(_window, size) for name, size in WINDOWS.items()},
        "documents": lambda: ag.causal() & ag.document(ids=documents(problem.n)),
    }
    score = ag.softcap(CAP) if problem.mask == "softcap" else None
    return ag.AttentionSpec(problem.mask, problem.heads, problem.dim, mask=masks[problem.mask](), score=score)


def _window(size: int) -> Any:
    return ag.causal() & ag.sliding_window(size)


@cache
def attend(problem: Problem, target: str | None = None) -> Any:
    return ag.compile(spec(problem), backend="cpu", target=target)


def inputs(problem: Problem) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((problem.heads[0], problem.queries), (problem.heads[1], problem.n), (problem.heads[1], problem.n))
    made = [torch.randn(1, h, rows, problem.dim, generator=generator).to(TORCH[problem.dtype]) for h, rows in shapes]
    return made[0], made[1], made[2]


def keep(problem: Problem) -> torch.Tensor | None:
    """The dense mask; None for all."""
    if problem.mask == "full":
        return None
    q, kv = torch.arange(problem.n)[:, None], torch.arange(problem.n)[None]
    kept = kv <= q
    if problem.mask in WINDOWS:
        kept &= q - kv < WINDOWS[problem.mask]
    if problem.mask == "documents":
        ids = documents(problem.n)
        kept &= ids[:, None] == ids[None]
    return kept


def pairs(problem: Problem) -> float:
    """(query, key) pairs of one head that the mask keeps: what FLOPs are counted of."""
    n = problem.n
    if problem.mask == "full":
        return float(problem.queries * n)
    if problem.mask in WINDOWS:
        return float(sum(min(i + 1, WINDOWS[problem.mask]) for i in range(n)))
    if problem.mask == "documents":
        return float(sum(c * (c + 1) / 2 for c in documents(n).bincount().tolist()))
    return n * (n + 1) / 2


def contenders(problem: Problem, *, flex: bool = True, targets: tuple[str, ...] = ()) -> dict[str, Call]:
    """Calls by name, "ours" first. Each computes the whole forward of the same inputs, masks made beforehand."""
    q, k, v = inputs(problem)
    out = torch.empty_like(q)
    calls: dict[str, Call] = {"ours": lambda: attend(problem)(q, k, v, out=out)}
    for target in targets:
        calls[f"ours {target}"] = lambda target=target: attend(problem, target)(q, k, v, out=out)
    if problem.mask in ("full", "causal"):
        calls["sdpa"] = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=problem.mask == "causal")
    elif problem.mask != "softcap":
        mask = keep(problem)
        calls["sdpa"] = lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    if problem.n <= EAGER_UP_TO:
        calls["eager"] = _eager(problem, q, k, v)
    if flex and problem.mask != "full":
        calls["flex"] = _flex(problem, q, k, v)
    return calls


def _eager(problem: Problem, q: Any, k: Any, v: Any) -> Call:
    kept, scale = keep(problem), 1 / math.sqrt(problem.dim)

    def call() -> Any:
        scores = (q @ k.transpose(-1, -2)) * scale
        if problem.mask == "softcap":
            scores = CAP * torch.tanh(scores / CAP)
        if kept is not None:
            scores = scores.masked_fill(~kept, -torch.inf)
        return torch.softmax(scores, -1) @ v

    return call


def _flex(problem: Problem, q: Any, k: Any, v: Any) -> Call:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    ids = documents(problem.n)

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        kept = kv_idx <= q_idx
        if problem.mask == "window":
            kept = kept & (q_idx - kv_idx < WINDOW)
        if problem.mask == "documents":
            kept = kept & (ids[q_idx] == ids[kv_idx])
        return kept

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return CAP * torch.tanh(score / CAP)

    blocks = create_block_mask(mask_mod, None, None, problem.n, problem.n, device="cpu")
    step = score_mod if problem.mask == "softcap" else None
    compiled = torch.compile(flex_attention, dynamic=False)
    return lambda: compiled(q, k, v, score_mod=step, block_mask=blocks)


def decode_contenders(problem: Problem) -> dict[str, Call]:
    """One query row: SDPA with its own grouping, and the better way, the heads of a group as rows."""
    q, k, v = inputs(problem)
    out = torch.empty_like(q)
    rows = q.view(1, problem.heads[1], -1, problem.dim)
    return {
        "ours": lambda: attend(problem)(q, k, v, out=out),
        "sdpa": lambda: F.scaled_dot_product_attention(rows, k, v),
        "sdpa enable_gqa": lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
    }
