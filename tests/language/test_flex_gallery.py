"""The published FlexAttention masks and score mods, written as their users write them, traced unchanged.

The formulas are those of attention-gym and the papers it names. Each is compared at every point with
what torch computes of the same callable on index tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor, prod
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import and_masks, create_mask, noop_mask, or_masks

from tests.language.dense import HEADS, at_every_point, mask_spec, score_spec

BATCH, N = 2, 64
torch.manual_seed(0)
Mod = Callable[..., Any]


def causal(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    return q_idx >= kv_idx


def sliding_window(window: int) -> Mod:
    def near(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return q_idx - kv_idx <= window

    return and_masks(near, causal)


def prefix_lm(prefix: int) -> Mod:
    return or_masks(lambda b, h, q_idx, kv_idx: kv_idx < prefix, causal)


def ids_of(offsets: torch.Tensor) -> torch.Tensor:
    counts = offsets[1:] - offsets[:-1]
    return torch.repeat_interleave(torch.arange(len(counts), dtype=torch.int32), counts)


def doc_mask(inner: Mod, offsets: torch.Tensor) -> Mod:
    document_id = ids_of(offsets)

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        same = document_id[q_idx] == document_id[kv_idx]
        q_local = q_idx - offsets[document_id[q_idx]]
        return same & inner(b, h, q_local, kv_idx - offsets[document_id[kv_idx]])

    return mask_mod


def packed_causal_doc(offsets: torch.Tensor) -> Mod:
    document_id = ids_of(offsets)
    return lambda b, h, q, k: (k >= offsets[document_id[q]]) & causal(b, h, q, k)


def shared_prefix(offsets: torch.Tensor, prefix_of: torch.Tensor) -> Mod:
    document_id = ids_of(offsets)

    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        document = document_id[q]
        prefix = prefix_of[document]
        own = (k >= offsets[document]) & causal(b, h, q, k)
        return own | ((document != prefix) & (k >= offsets[prefix]) & (k < offsets[prefix + 1]))

    return mask_mod


def global_sliding_window(window: int, is_global: torch.Tensor) -> Mod:
    local = lambda b, h, q, k: (q - k).abs() <= window  # noqa: E731
    return or_masks(local, lambda b, h, q, k: is_global[q] | is_global[k])


def dilated_sliding_window(window: int, dilation: int) -> Mod:
    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        distance = torch.abs(q - k)
        return (distance <= window) & ((distance % dilation) == 0)

    return mask_mod


def batchify(inner: Mod, n: int) -> Mod:
    return lambda b, h, q, k: (q // n == k // n) & inner(b, h, q % n, k % n)


def natten(decode: Callable[[Any], tuple[Any, Any]], w: int, h: int, kw: int, kh: int) -> Mod:
    def mask_mod(b: Any, head: Any, q: Any, k: Any) -> Any:
        (qx, qy), (kx, ky) = decode(q), decode(k)
        cx = qx.clamp(kw // 2, (w - 1) - kw // 2)
        cy = qy.clamp(kh // 2, (h - 1) - kh // 2)
        return ((cx - kx).abs() <= kw // 2) & ((cy - ky).abs() <= kh // 2)

    return mask_mod


def row_major(i: Any) -> tuple[Any, Any]:
    return i // 8, i % 8


def tile_major(i: Any) -> tuple[Any, Any]:
    tile, inside = i // 16, i % 16
    return tile // 2 * 4 + inside // 4, tile % 2 * 4 + inside % 4


def morton(i: Any) -> tuple[Any, Any]:
    def even_bits(x: Any) -> Any:
        x = x & 0x55555555
        x = (x | (x >> 1)) & 0x33333333
        x = (x | (x >> 2)) & 0x0F0F0F0F
        x = (x | (x >> 4)) & 0x00FF00FF
        return (x | (x >> 8)) & 0x0000FFFF

    return even_bits(i), even_bits(i >> 1)


def sta(shape: tuple[int, ...], kernel: tuple[int, ...], text: int) -> Mod:
    """Sliding tile attention over tiles of one cell: even kernels lean to the left."""
    seen = prod(shape)

    def axes(i: Any) -> list[Any]:
        out = []
        for axis, size in enumerate(shape):
            inner = prod(shape[axis + 1 :])
            out.append(i // inner % size if axis else i // inner)
        return out

    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        vision = (q < seen) & (k < seen)
        for i, j, size, width in zip(axes(q), axes(k), shape, kernel, strict=True):
            left, right = width // 2, width // 2 + (width % 2 - 1)
            center = i.clamp(left, (size - 1) - right)
            vision = vision & (j >= center - left) & (j <= center + right)
        to_text = (q < seen) & (k >= seen) & (k < seen + text)
        return vision | to_text | ((q >= seen) & (k < seen + text))

    return mask_mod


def svg_spatial(prompt: int, frame: int, width: int, sink: bool, multiple: int) -> Mod:
    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        first = k < prompt + frame if sink else k < prompt
        return first | (q < prompt) | (torch.abs(q - k) < floor(width * frame / multiple) * multiple)

    return mask_mod


def svg_temporal(prompt: int, frames: int, frame: int, width: int) -> Mod:
    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        near = torch.abs((q - prompt) % frame - (k - prompt) % frame) < (width * frame) // frames
        return (k < prompt) | (q < prompt) | near

    return mask_mod


def flamingo(intervals: torch.Tensor, tokens: int) -> Mod:
    image = torch.repeat_interleave(torch.arange(len(intervals)), tokens)

    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        interval = intervals[image[k]]
        return (q >= interval[0]) & (q < interval[1])

    return mask_mod


def block_diffusion(s: int, block: int) -> Mod:
    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        qn, kn = q < s, k < s
        bq, bk = (q % s) // block, (k % s) // block
        return ((bq == bk) & (qn == kn)) | ((bq > bk) & qn & ~kn) | ((bq >= bk) & ~qn & ~kn)

    return mask_mod


def jetspec_tree(prefix: int, table: torch.Tensor) -> Mod:
    n = len(table)

    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        node = (k - prefix).clamp(min=0, max=n - 1)
        return (k < prefix) | ((k >= prefix) & (k < prefix + n) & table[q, node])

    return mask_mod


def jetspec_training(prefix: int, block: int) -> Mod:
    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        at = k - prefix
        own = (k >= prefix) & (q // block == at // block) & (at % block <= q % block)
        return (k < prefix) | own

    return mask_mod


def vsa(topk: torch.Tensor, tile: int, sizes: torch.Tensor | None = None) -> Mod:
    def mask_mod(b: Any, h: Any, q: Any, k: Any) -> Any:
        chosen = (topk[b, h, q // tile] == (k // tile).unsqueeze(-1)).any(dim=-1)
        return chosen if sizes is None else chosen & (k % tile < sizes[k // tile])

    return mask_mod


OFFSETS = torch.tensor([0, 10, 30, 64])
MASKS: dict[str, Mod] = {
    "causal": causal,
    "sliding_window": sliding_window(7),
    "prefix_lm": prefix_lm(9),
    "doc_mask": doc_mask(causal, OFFSETS),
    "packed_causal_doc": packed_causal_doc(OFFSETS),
    "shared_prefix": shared_prefix(OFFSETS, torch.tensor([0, 0, 0])),
    "global_sliding_window": global_sliding_window(3, torch.arange(N) % 17 == 0),
    "dilated_sliding_window": dilated_sliding_window(9, 3),
    "batchify": batchify(causal, 16),
    "natten": natten(row_major, 8, 8, 3, 5),
    "tiled_natten": natten(tile_major, 8, 8, 3, 3),
    "morton_natten": natten(morton, 8, 8, 3, 5),
    "sta_2d": sta((6, 8), (3, 4), text=16),
    "sta_3d": sta((2, 4, 6), (1, 3, 2), text=16),
    "svg_spatial": svg_spatial(4, 6, 2, True, 4),
    "svg_temporal": svg_temporal(4, 6, 10, 2),
    "flamingo": flamingo(torch.tensor([[0, 7], [1, 17], [7, 64], [3, 3]]), 16),
    "block_diffusion": block_diffusion(32, 4),
    "jetspec_tree": jetspec_tree(0, torch.eye(N, dtype=torch.bool).cumsum(1).bool().T),
    "jetspec_training": jetspec_training(8, 4),
    "vsa": vsa(torch.randint(0, 8, (BATCH, HEADS, 8, 3)), 8, torch.randint(4, 9, (8,))),
    "noop": noop_mask,
}


def alibi(heads: int) -> Mod:
    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + (kv_idx - q_idx) * torch.exp2(-((h + 1) * 8.0 / heads))

    return score_mod


def sandwich(heads: int, longest: int, width: int) -> Mod:
    frequencies = 1.0 / 10000 ** (2 * torch.arange(width // 2) / width)
    distances = torch.arange(2 * longest - 1) - (longest - 1)
    table = torch.cos(distances.abs()[:, None] * frequencies).sum(-1)
    head_scale = heads / (8.0 * torch.arange(1, heads + 1))
    return lambda s, b, h, q, k: s + table[q - k + longest - 1] * head_scale[h]


def graphormer_edges(table: torch.Tensor, types: torch.Tensor, length: torch.Tensor) -> Mod:
    tables = [table[:, n] for n in range(types.shape[-1])]

    def score_mod(score: Any, b: Any, h: Any, q: Any, k: Any) -> Any:
        count, total = length[b, q, k], 0.0
        for n, position in enumerate(tables):
            total = total + torch.where(count > n, position[h, types[b, q, k, n]], 0.0)
        return score + total / torch.clamp(count, min=1)

    return score_mod


DISTANCES, BIAS = torch.randint(0, 9, (BATCH, N, N)), torch.randn(HEADS, 9)
ROPE_Q, ROPE_K = torch.randn(BATCH, HEADS, N, 8), torch.randn(BATCH, 1, N, 8)
SCORES: dict[str, Mod] = {
    "alibi": alibi(HEADS),
    "tanh_softcap": lambda s, b, h, q, k: 3 * torch.tanh(s / 3),
    "sandwich": sandwich(HEADS, N, 32),
    "graphormer_spatial": lambda s, b, h, q, k: s + BIAS[h, DISTANCES[b, q, k]],
    "graphormer_edge": graphormer_edges(
        torch.randn(HEADS, 3, 5), torch.randint(0, 5, (BATCH, N, N, 3)), torch.randint(0, 4, (BATCH, N, N))
    ),
    "activation": lambda s, b, h, q, k: torch.log(F.gelu(s) + 1.0),
    "mla_rope": lambda s, b, h, q, k: s + 0.5 * torch.dot(ROPE_Q[b, h, q], ROPE_K[b, h // HEADS, k]),
    "relative": lambda s, b, h, q, k: s + (q - k),
    "head_bias": lambda s, b, h, q, k: s + 2 * h,
}


@pytest.mark.parametrize("name", MASKS)
def test_masks(name: str) -> None:
    spec = mask_spec(MASKS[name])
    expected = create_mask(MASKS[name], BATCH, HEADS, N, N, device="cpu").numpy()
    np.testing.assert_array_equal(at_every_point(spec, spec.definition.mask, N, N), expected)
    assert name == "noop" or 0 < expected.mean() < 1


@pytest.mark.parametrize("name", SCORES)
def test_scores(name: str) -> None:
    spec, score = score_spec(SCORES[name]), torch.randn(BATCH, HEADS, N, N, dtype=torch.float64)
    mod = SCORES[name]
    for dims in [
        (0, None, None, None, 0),
        (0, None, None, 0, None),
        (0, None, 0, None, None),
        (0, 0, None, None, None),
    ]:
        mod = torch.vmap(mod, in_dims=dims)
    expected = mod(score, *(torch.arange(size) for size in score.shape)).numpy()
    got = at_every_point(spec, spec.definition.score, N, N, score=score.numpy())
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)
    assert np.abs(got - score.numpy()).max() > 0.01


def test_all_the_published_masks_are_here() -> None:
    assert len(MASKS) == 22
