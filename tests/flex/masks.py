"""The published FlexAttention masks, in the form in which their users write them: plain functions of torch.

Formulas and geometry are those of attention-gym and of the papers that it names. `MASKS` holds one small
instance of each: the callable, and how many queries and keys it is meant for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import floor, prod
from typing import Any

import torch
from torch.nn.attention.flex_attention import and_masks, noop_mask, or_masks

Mod = Callable[..., Any]
BATCH, HEADS, KV_HEADS = 2, 4, 2


@dataclass(frozen=True)
class Use:
    """A callable with the numbers of queries and keys that it is used for."""

    mod: Mod
    m: int
    n: int


def causal(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    return q_idx >= kv_idx


def sliding_window(window: int) -> Mod:
    def near(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return q_idx - kv_idx <= window

    mask = and_masks(near, causal)
    mask.__name__ = f"sliding_window_{window}"
    return mask


def prefix_lm(prefix: int) -> Mod:
    def in_prefix(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return kv_idx < prefix

    return or_masks(in_prefix, causal)


def document_ids(offsets: torch.Tensor) -> torch.Tensor:
    counts = offsets[1:] - offsets[:-1]
    return torch.repeat_interleave(torch.arange(len(counts), dtype=torch.int32), counts)


def documents(inner: Mod, offsets: torch.Tensor) -> Mod:
    document_id = document_ids(offsets)

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        same_doc = document_id[q_idx] == document_id[kv_idx]
        q_logical = q_idx - offsets[document_id[q_idx]]
        kv_logical = kv_idx - offsets[document_id[kv_idx]]
        return same_doc & inner(b, h, q_logical, kv_logical)

    return mask_mod


def packed_causal_documents(offsets: torch.Tensor) -> Mod:
    document_id = document_ids(offsets)

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        doc_start = offsets[document_id[q_idx]]
        return (kv_idx >= doc_start) & causal(b, h, q_idx, kv_idx)

    return mask_mod


def shared_prefix(offsets: torch.Tensor, prefix_of: torch.Tensor) -> Mod:
    document_id = document_ids(offsets)

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        document = document_id[q_idx]
        prefix = prefix_of[document]
        own = (kv_idx >= offsets[document]) & causal(b, h, q_idx, kv_idx)
        in_prefix = (document != prefix) & (kv_idx >= offsets[prefix]) & (kv_idx < offsets[prefix + 1])
        return own | in_prefix

    return mask_mod


def global_sliding_window(window: int, is_global: torch.Tensor) -> Mod:
    def local(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return (q_idx - kv_idx).abs() <= window

    def everywhere(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return is_global[q_idx] | is_global[kv_idx]

    return or_masks(local, everywhere)


def dilated_sliding_window(window: int, dilation: int) -> Mod:
    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        diff = torch.abs(q_idx - kv_idx)
        return (diff <= window) & ((diff % dilation) == 0)

    return mask_mod


def batchify(inner: Mod, size: int) -> Mod:
    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return (q_idx // size == kv_idx // size) & inner(b, h, q_idx % size, kv_idx % size)

    mask_mod.__name__ = f"batched_{inner.__name__}_{size}"
    return mask_mod


def natten(decode: Callable[[Any], tuple[Any, Any]], w: int, h: int, kernel_w: int, kernel_h: int) -> Mod:
    def mask_mod(b: Any, head: Any, q_idx: Any, kv_idx: Any) -> Any:
        q_x, q_y = decode(q_idx)
        kv_x, kv_y = decode(kv_idx)
        center_x = q_x.clamp(kernel_w // 2, (w - 1) - kernel_w // 2)
        center_y = q_y.clamp(kernel_h // 2, (h - 1) - kernel_h // 2)
        return ((center_x - kv_x).abs() <= kernel_w // 2) & ((center_y - kv_y).abs() <= kernel_h // 2)

    return mask_mod


def row_major(width: int) -> Callable[[Any], tuple[Any, Any]]:
    return lambda i: (i // width, i % width)


def tile_major(w: int, tile_w: int, tile_h: int) -> Callable[[Any], tuple[Any, Any]]:
    def decode(i: Any) -> tuple[Any, Any]:
        tile, inside = i // (tile_h * tile_w), i % (tile_h * tile_w)
        tile_y, tile_x = tile // (w // tile_w), tile % (w // tile_w)
        return tile_x * tile_w + inside % tile_w, tile_y * tile_h + inside // tile_w

    return decode


def morton(i: Any) -> tuple[Any, Any]:
    def even_bits(code: Any) -> Any:
        code = code & 0x55555555
        code = (code | (code >> 1)) & 0x33333333
        code = (code | (code >> 2)) & 0x0F0F0F0F
        code = (code | (code >> 4)) & 0x00FF00FF
        return (code | (code >> 8)) & 0x0000FFFF

    return even_bits(i), even_bits(i >> 1)


def sliding_tiles(canvas: tuple[int, ...], kernel: tuple[int, ...], tile: tuple[int, ...], text: int) -> Mod:
    """Sliding tile attention (arXiv:2502.04507): windows of whole tiles; even kernels lean to the left."""
    tiles = [c // t for c, t in zip(canvas, tile, strict=True)]
    widths = [k // t for k, t in zip(kernel, tile, strict=True)]
    vision = prod(canvas)

    def axes(idx: Any) -> list[Any]:
        i = idx // prod(tile)
        inner = [prod(tiles[axis + 1 :]) for axis in range(len(tiles))]
        return [i // inner[0], *(i // inner[axis] % tiles[axis] for axis in range(1, len(tiles)))]

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        near = (q_idx < vision) & (kv_idx < vision)
        for q_tile, kv_tile, count, width in zip(axes(q_idx), axes(kv_idx), tiles, widths, strict=True):
            left, right = width // 2, width // 2 + (width % 2 - 1)
            center = q_tile.clamp(left, (count - 1) - right)
            near = near & (kv_tile >= center - left) & (kv_tile <= center + right)
        to_text = (q_idx < vision) & (kv_idx >= vision) & (kv_idx < vision + text)
        return near | to_text | ((q_idx >= vision) & (kv_idx < vision + text))

    return mask_mod


def svg_spatial(prompt: int, frame: int, width: int, sink: bool, multiple: int) -> Mod:
    """The spatial heads of Sparse VideoGen (arXiv:2502.01776)."""

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        if sink:  # noqa: SIM108 (as published)
            first_column = kv_idx < (prompt + frame)
        else:
            first_column = kv_idx < prompt
        mask_width = floor(width * frame / multiple) * multiple
        return first_column | (q_idx < prompt) | (torch.abs(q_idx - kv_idx) < mask_width)

    return mask_mod


def svg_temporal(prompt: int, frames: int, frame: int, width: int) -> Mod:
    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        q_token, kv_token = (q_idx - prompt) % frame, (kv_idx - prompt) % frame
        near = torch.abs(q_token - kv_token) < (width * frame) // frames
        return (kv_idx < prompt) | (q_idx < prompt) | near

    return mask_mod


def flamingo(intervals: torch.Tensor, image_tokens: int) -> Mod:
    """A text token sees the images whose interval holds it (arXiv:2204.14198)."""
    image_of = torch.repeat_interleave(torch.arange(intervals.shape[0]), repeats=image_tokens)

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        interval = intervals[image_of[kv_idx]]
        return (q_idx >= interval[0]) & (q_idx < interval[1])

    return mask_mod


def block_diffusion(length: int, block: int) -> Mod:
    """Noised and clean copies side by side (BD3-LM, arXiv:2503.09573)."""

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        q_noised, kv_noised = q_idx < length, kv_idx < length
        q_block, kv_block = (q_idx % length) // block, (kv_idx % length) // block
        diagonal = (q_block == kv_block) & (q_noised == kv_noised)
        offset_causal = (q_block > kv_block) & q_noised & ~kv_noised
        return diagonal | offset_causal | ((q_block >= kv_block) & ~q_noised & ~kv_noised)

    return mask_mod


def ancestors(parents: list[int]) -> torch.Tensor:
    matrix = torch.eye(len(parents), dtype=torch.bool)
    for node, parent in enumerate(parents[1:], start=1):
        matrix[node] |= matrix[parent]
    return matrix


def jetspec_tree(prefix: int, ancestor: torch.Tensor) -> Mod:
    nodes = ancestor.shape[0]

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        node = (kv_idx - prefix).clamp(min=0, max=nodes - 1)
        in_tree = (kv_idx >= prefix) & (kv_idx < prefix + nodes)
        return (kv_idx < prefix) | (in_tree & ancestor[q_idx, node])

    return mask_mod


def jetspec_training(prefix: int, block: int) -> Mod:
    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        at = kv_idx - prefix
        own = (kv_idx >= prefix) & (q_idx // block == at // block) & (at % block <= q_idx % block)
        return (kv_idx < prefix) | own

    return mask_mod


def vsa(topk: torch.Tensor, tile: int, sizes: torch.Tensor | None = None) -> Mod:
    """The best tiles of each query tile (video sparse attention, arXiv:2505.13389)."""

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        kv_tile = kv_idx // tile
        selected = (topk[b, h, q_idx // tile] == kv_tile.unsqueeze(-1)).any(dim=-1)
        if sizes is None:
            return selected
        return selected & (kv_idx % tile < sizes[kv_tile])

    return mask_mod


def square_window(width: int, reach: int) -> Mod:
    """Stand-alone self-attention on an image (arXiv:1906.05909): the window is cut at the border."""

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        near_x = (q_idx // width - kv_idx // width).abs() <= reach
        return near_x & ((q_idx % width - kv_idx % width).abs() <= reach)

    return mask_mod


def ring_shard(q_offset: torch.Tensor, kv_offset: int) -> Mod:
    """One step of ring attention; the offset of the queries is a tensor without dimensions."""
    return lambda b, h, q_idx, kv_idx: q_idx + q_offset >= kv_idx + kv_offset


_random = torch.Generator().manual_seed(0)
_OFFSETS = torch.tensor([0, 11, 12, 40, 77])
_TOPK = torch.randint(0, 7, (BATCH, HEADS, 7, 3), generator=_random)

MASKS: dict[str, Use] = {
    "causal": Use(causal, 77, 77),
    "sliding_window": Use(sliding_window(17), 77, 77),
    "prefix_lm": Use(prefix_lm(29), 77, 77),
    "doc_mask": Use(documents(causal, _OFFSETS), 77, 77),
    "packed_causal_doc": Use(packed_causal_documents(_OFFSETS), 77, 77),
    "shared_prefix": Use(shared_prefix(_OFFSETS, torch.tensor([0, 0, 2, 0])), 77, 77),
    "global_sliding_window": Use(global_sliding_window(5, torch.arange(77) % 31 == 0), 77, 77),
    "dilated_sliding_window": Use(dilated_sliding_window(19, 3), 77, 77),
    "batchify": Use(batchify(causal, 23), 77, 77),
    "natten": Use(natten(row_major(9), 9, 7, 3, 5), 63, 63),
    "tiled_natten": Use(natten(tile_major(12, 4, 2), 12, 6, 5, 3), 72, 72),
    "morton_natten": Use(natten(morton, 8, 8, 3, 5), 64, 64),
    "sta_2d": Use(sliding_tiles((6, 8), (6, 4), (2, 2), text=13), 61, 61),
    "sta_3d": Use(sliding_tiles((4, 4, 6), (2, 4, 6), (2, 2, 2), text=7), 103, 103),
    "svg_spatial": Use(svg_spatial(5, 12, 2, sink=True, multiple=8), 77, 77),
    "svg_temporal": Use(svg_temporal(5, 6, 12, 2), 77, 77),
    "flamingo": Use(flamingo(torch.tensor([[0, 7], [1, 17], [7, 50], [3, 3]]), 13), 51, 52),
    "block_diffusion": Use(block_diffusion(35, 4), 70, 70),
    "jetspec_tree": Use(jetspec_tree(60, ancestors([-1, 0, 0, 1, 1, 2, 5, 5, 3, 0, 9])), 11, 71),
    "jetspec_training": Use(jetspec_training(31, 5), 35, 66),
    "vsa": Use(vsa(_TOPK, 11, torch.randint(4, 12, (7,), generator=_random)), 77, 77),
    "noop": Use(noop_mask, 50, 77),
}
"""The 22 of attention-gym."""

OTHERS: dict[str, Use] = {
    "vsa_whole_tiles": Use(vsa(_TOPK, 11), 77, 77),
    "svg_spatial_without_sink": Use(svg_spatial(5, 12, 2, sink=False, multiple=8), 77, 77),
    "square_window": Use(square_window(9, 2), 63, 63),
    "ring_shard": Use(ring_shard(torch.tensor(30), 13), 40, 51),
    "causal_of_a_long_cache": Use(lambda b, h, q, k: q + 33 >= k, 17, 50),
    "per_batch_lengths": Use(
        and_masks(causal, lambda b, h, q, k: k < torch.tensor([50, 3])[b], lambda b, h, q, k: (h < 3) | (q < 40)),
        77,
        77,
    ),
    "nothing_at_first": Use(lambda b, h, q, k: (q >= 20) & (k < q - 19), 50, 50),
}
"""From notebooks, examples and reports of users."""
