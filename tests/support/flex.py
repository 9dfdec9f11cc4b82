"""FlexAttention's own eager path in float64: an oracle that shares nothing with attngen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch


def flex_reference(
    q: Any,
    k: Any,
    v: Any,
    mask_mod: Callable[..., Any] | None = None,
    score_mod: Callable[..., Any] | None = None,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(out, lse) in float64 for q [B, Hq, M, D], k, v [B or 1, Hkv, N, D]; lse is natural, -inf without keys."""
    from torch.nn.attention.flex_attention import AuxRequest, create_block_mask, flex_attention

    q, k, v = (torch.as_tensor(x).double() for x in (q, k, v))
    k, v = (x.expand(q.shape[0], -1, -1, -1) for x in (k, v))
    batch, heads, m, n = q.shape[0], q.shape[1], q.shape[2], k.shape[2]
    block_mask = None if mask_mod is None else create_block_mask(mask_mod, batch, heads, m, n, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eager is meant
        out, aux = flex_attention(
            q, k, v, score_mod, block_mask, scale, enable_gqa=heads != k.shape[1], return_aux=AuxRequest(lse=True)
        )
    return out, aux.lse
