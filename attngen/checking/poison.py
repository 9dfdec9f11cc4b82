"""Memory that tells on a kernel: whatever it did not write, or should not have read, is NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

LAYOUTS = ("contiguous", "transposed", "gapped", "strided", "unaligned")
"""contiguous rows; [B, M, H, D] storage; rows further apart than their width; every other element of a row;
contiguous rows that start at an address which is no multiple of 16 bytes."""


@contextmanager
def poisoned_allocations() -> Iterator[None]:
    """Within the block torch.empty and its kin are filled with NaN (integers: their largest value)."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = fill


def poisoned(tensor: torch.Tensor, layout: str = "contiguous", guard: int = 3) -> torch.Tensor:
    """The same [B, H, rows, D] values, inside a larger storage full of NaN, in one of the `LAYOUTS`.

    ``guard`` rows of NaN stand before and after the rows of each head.
    """
    batch, heads, rows, width = tensor.shape
    nan: dict[str, Any] = {"dtype": tensor.dtype, "device": tensor.device}
    if layout == "contiguous":
        view = torch.full((batch, heads, rows + 2 * guard, width), torch.nan, **nan)[:, :, guard : guard + rows]
    elif layout == "transposed":
        storage = torch.full((batch, rows + 2 * guard, heads, width), torch.nan, **nan)
        view = storage[:, guard : guard + rows].transpose(1, 2)
    elif layout == "gapped":
        view = torch.full((batch, heads, rows + 2 * guard, width + 8), torch.nan, **nan)[
            :, :, guard : guard + rows, :width
        ]
    elif layout == "strided":
        view = torch.full((batch, heads, rows + 2 * guard, 2 * width), torch.nan, **nan)[
            :, :, guard : guard + rows, ::2
        ]
    elif layout == "unaligned":
        shape = (batch, heads, rows + 2 * guard, width)
        storage = torch.full((math.prod(shape) + 1,), torch.nan, **nan)
        view = storage[1:].view(shape)[:, :, guard : guard + rows]
    else:
        raise ValueError(f"layout {layout!r}: one of {', '.join(LAYOUTS)}")
    view.copy_(tensor)
    return view


def guards_intact(view: torch.Tensor) -> bool:
    """Whether the NaN around a `poisoned` view of NaN-free values is still there: nothing was written past it."""
    base = view._base if view._base is not None else view
    holes = base.numel() - view.numel()
    return bool(torch.isnan(base.float()).sum() == holes + torch.isnan(view.float()).sum())
