"""A FlexAttention mask_mod and score_mod, dropped in unchanged.

    python examples/flex_mod.py

Where FlexAttention evaluates the mask on every pair of positions to build its block mask, attngen reads
the function once and derives the tiles for every length.
"""

from __future__ import annotations

import torch

import attngen as ag

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WINDOW, CAP = 64, 20.0


def mask_mod(b, h, q_idx, kv_idx):
    return (q_idx >= kv_idx) & (q_idx - kv_idx < WINDOW)


def score_mod(score, b, h, q_idx, kv_idx):
    return CAP * torch.tanh(score / CAP) + 0.01 * (kv_idx - q_idx)


spec = ag.AttentionSpec(name="flex_mod", heads=(4, 2), head_dim=64, mask=mask_mod, score=score_mod)
attend = ag.compile(spec)

print(ag.schedule(spec, q_tile=64, kv_tile=64))
for length in (100, 257):
    q = torch.randn(1, 4, length, 64, dtype=torch.float16, device=DEVICE)
    k, v = (torch.randn(1, 2, length, 64, dtype=torch.float16, device=DEVICE) for _ in range(2))
    out = attend(q, k, v)
    want, _ = ag.reference(spec, q, k, v)
    print(f"length {length}: largest difference to the oracle {abs(out.cpu().double().numpy() - want).max():.1e}")
