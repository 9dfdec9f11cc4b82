"""Tile lists, for masks whose tiles have no closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attngen.language.arrays import to_numpy
from attngen.runtime.request import Emitted
from attngen.runtime.tensors import Sizes


def tile_lists(
    emitted: Emitted, sizes: Sizes, params: Mapping[str, Any], named: Mapping[str, Any], heads: int, group: int
) -> tuple[Any, Any, Any]:
    """(offsets, split, indices) as int32 tensors of the host. Reading a GPU tensor waits for it."""
    import torch

    from attngen.tiling.call import Call
    from attngen.tiling.tile_list import build

    arrays: dict[Any, Any] = {name: to_numpy(x) for name, x in named.items()}
    packed = group if emitted.plan.pack > 1 else 1
    made = build(emitted.schedule, Call(sizes.m, sizes.n, sizes.batch, heads, dict(params), arrays, packed))
    return torch.from_numpy(made.offsets), torch.from_numpy(made.split), torch.from_numpy(made.indices)
