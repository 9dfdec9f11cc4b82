"""The tiles that the blocks of a kernel really visit, counted on the schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from attngen.language.spec import AttentionSpec
from attngen.planner.waves import Work
from attngen.tiling.view import schedule


class Tiles(Protocol):
    """What decides which tiles a kernel visits: plans and candidates for any target have it."""

    @property
    def block_m(self) -> int: ...
    @property
    def grain(self) -> int: ...
    @property
    def pack(self) -> int: ...


def counted(
    spec: AttentionSpec, length: int, params: Mapping[str, int | float], tensors: Mapping[str, Any]
) -> Callable[[Tiles], Work]:
    """For ``length`` queries and keys, batch 1: each block's full and masked tiles, in the order of launch.

    Tiles are as many keys long as loops are precise to (``grain``).
    """
    group = spec.definition.heads.group

    @cache
    def of_tile(rows: int, keys: int, packed: bool) -> Work:
        counts = schedule(spec, q_tile=rows, kv_tile=keys).row_counts(length, params=params, tensors=tensors)
        full, masked = tuple(counts.full.tolist()), tuple(counts.partial.tolist())
        if packed:
            return Work(full, masked, max(1, counts.times // group))
        # the emitted kernel launches the last rows of queries first: under a causal mask they take longest
        return Work(full[::-1], masked[::-1], counts.times)

    return lambda candidate: of_tile(candidate.block_m // candidate.pack, candidate.grain, candidate.pack > 1)
