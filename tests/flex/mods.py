"""The published FlexAttention score mods, in the form in which their users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from tests.flex.masks import BATCH, HEADS, Mod

M, N = 45, 61
_random = torch.Generator().manual_seed(1)


def alibi(heads: int) -> Mod:
    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        scale = torch.exp2(-((h + 1) * 8.0 / heads))
        return score + (kv_idx - q_idx) * scale

    return score_mod


def tanh_softcap(cap: float, tanh: Callable[[Any], Any] = torch.tanh) -> Mod:
    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return cap * tanh(score / cap)

    return score_mod


class ApproximateTanh(torch.autograd.Function):
    """As users reach for one instruction of their GPU: attngen sees the torch function in it."""

    @staticmethod
    def forward(x: Any) -> Any:
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (result,) = ctx.saved_tensors
        return gradient * (1 - result * result)

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any) -> Any:
        return torch.tanh(x), 0


def sandwich(heads: int, longest: int, width: int, dtype: torch.dtype) -> Mod:
    """Inner products of sinusoidal embeddings (arXiv:2212.10356)."""
    frequencies = 1.0 / 10000 ** (2 * torch.arange(width // 2, dtype=torch.float32) / width)
    distances = torch.arange(2 * longest - 1, dtype=torch.float32) - (longest - 1)
    table = torch.cos(distances.abs()[:, None] * frequencies).sum(dim=-1).to(dtype)
    head_scale = (heads / (8.0 * torch.arange(1, heads + 1, dtype=torch.float32))).to(dtype)

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + table[q_idx - kv_idx + longest - 1] * head_scale[h]

    return score_mod


def graphormer_spatial(bias: torch.Tensor, distances: torch.Tensor) -> Mod:
    """A learned bias a distance between two nodes of a graph (arXiv:2106.05234)."""

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + bias[h, distances[b, q_idx, kv_idx]]

    return score_mod


def graphormer_edge(bias: torch.Tensor, types: torch.Tensor, lengths: torch.Tensor) -> Mod:
    tables = [bias[:, n] for n in range(types.shape[-1])]

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        length = lengths[b, q_idx, kv_idx]
        total = 0.0
        for n, table in enumerate(tables):
            contribution = table[h, types[b, q_idx, kv_idx, n]]
            total = total + torch.where(length > n, contribution, 0.0)
        return score + total / torch.clamp(length, min=1)

    return score_mod


def activation(function: Callable[[Any], Any] = F.gelu, offset: float = 1.0) -> Mod:
    """log(f(score) + offset): the softmax then sums f, and `undo_softmax` takes the offset out again."""

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return torch.log(function(score) + offset)

    return score_mod


def undo_softmax(out: torch.Tensor, lse: torch.Tensor, v_sum: torch.Tensor, offset: float = 1.0) -> torch.Tensor:
    return out * lse.exp().unsqueeze(-1) - offset * v_sum


def mla_rope(q_rope: torch.Tensor, k_rope: torch.Tensor, heads: int, scale: float) -> Mod:
    """The rotary part of multi-head latent attention (arXiv:2405.04434)."""

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + (scale * torch.dot(q_rope[b, h, q_idx], k_rope[b, h // heads, kv_idx]))

    return score_mod


def _normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_random, dtype=torch.float32)


def _below(limit: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, limit, shape, generator=_random, dtype=torch.int32)


_SPATIAL, _EDGE = _normal(HEADS, 9), _normal(HEADS, 3, 5)
_DISTANCES, _TYPES, _LENGTHS = _below(9, BATCH, M, N), _below(5, BATCH, M, N, 3), _below(4, BATCH, M, N)
_ROPE_Q, _ROPE_K = _normal(BATCH, HEADS, M, 8), _normal(BATCH, 1, N, 8)
Make = Callable[[torch.dtype], Mod]
"""The score mod with its tables in a dtype; the values are the same in fp32 and float64."""

MODS: dict[str, Make] = {
    "alibi": lambda dtype: alibi(HEADS),
    "tanh_softcap": lambda dtype: tanh_softcap(2.0),
    "sandwich": lambda dtype: sandwich(HEADS, 64, 32, dtype),
    "graphormer_spatial": lambda dtype: graphormer_spatial(torch.nn.Parameter(_SPATIAL.to(dtype)), _DISTANCES),
    "graphormer_edge": lambda dtype: graphormer_edge(_EDGE.to(dtype), _TYPES, _LENGTHS),
    "activation": lambda dtype: activation(),
    "mla_rope": lambda dtype: mla_rope(_ROPE_Q.to(dtype), _ROPE_K.to(dtype), HEADS, 0.5),
}
"""The 7 of attention-gym."""

OTHERS: dict[str, Make] = {
    "tanh_softcap_approx": lambda dtype: tanh_softcap(2.0, ApproximateTanh.apply),
    "noop": lambda dtype: lambda score, b, h, q, k: score,
    "causal": lambda dtype: lambda score, b, h, q, k: torch.where(q >= k, score, -float("inf")),
    "relative": lambda dtype: lambda score, b, h, q, k: score + (q - k),
    "head_bias": lambda dtype: lambda score, b, h, q, k: score + 2 * h,
    "relu": lambda dtype: activation(F.relu),
    "sigmoid": lambda dtype: activation(torch.sigmoid),
}
"""From benchmarks and notebooks."""
