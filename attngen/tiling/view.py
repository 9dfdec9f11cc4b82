"""A schedule for people: `attngen.schedule(spec)` prints its loops, enumerates its tiles and counts its work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from attngen.errors import CallError, SpecError
from attngen.expr.op import Expr, Op, Param, TensorRef
from attngen.expr.show import show
from attngen.expr.simplify import simplify
from attngen.language.arrays import to_numpy
from attngen.language.definition import HeadDim, Heads
from attngen.language.spec import AttentionSpec, as_spec
from attngen.tiling import enumerate as enumeration
from attngen.tiling.build import build_inverse, build_schedule
from attngen.tiling.call import Array, Call
from attngen.tiling.schedule import Bound, Interval, Schedule

_LARGEST_TILE = 1024
_MOST_TILES = 1 << 28


@dataclass(frozen=True, slots=True)
class TileSchedule:
    """Which tiles a kernel visits, for all lengths. ``print`` it; `tiles` and `counts` take numbers.

    ``is_inverse``: the loops run over the query tiles of a key tile, as in a backward pass.
    """

    name: str
    schedule: Schedule
    heads: Heads
    head_dim: HeadDim
    captured: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_inverse: bool = False
    params: tuple[Param, ...] = ()

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def tiles(
        self,
        M: int,
        N: int | None = None,
        *,
        params: Mapping[str, int | float] | None = None,
        tensors: Mapping[str, Any] | None = None,
        b: int = 0,
        h: int = 0,
    ) -> Array:
        """int8 [query tiles, key tiles] of one batch and head: 0 empty, 1 partial, 2 full."""
        call = self._call(M, N, max(b + 1, 1), params, tensors)
        count = (call.M // self.schedule.q_tile + 1) * (call.N // self.schedule.kv_tile + 1)
        if count > _MOST_TILES:
            raise CallError(f"{count} tiles", place="tiles", remedy=f"at most {_MOST_TILES}; counts(M, N) sums them up")
        return enumeration.tiles(self.schedule, call, b=b, h=h, inverse=self.is_inverse)

    def counts(
        self,
        M: int,
        N: int | None = None,
        *,
        batch: int = 1,
        params: Mapping[str, int | float] | None = None,
        tensors: Mapping[str, Any] | None = None,
        itemsize: int = 2,
    ) -> enumeration.Counts:
        """Tiles, FLOPs and bytes of the forward kernel, by summing rows of tiles. ``N`` is M by default."""
        call = self._call(M, N, batch, params, tensors)
        return enumeration.counts(
            self.schedule, call, heads=self.heads, head_dim=self.head_dim, itemsize=itemsize, inverse=self.is_inverse
        )

    def row_counts(
        self,
        M: int,
        N: int | None = None,
        *,
        batch: int = 1,
        params: Mapping[str, int | float] | None = None,
        tensors: Mapping[str, Any] | None = None,
    ) -> enumeration.RowCounts:
        """Full and partial tiles of every row of tiles, for whom wants to know which blocks are the longest."""
        call = self._call(M, N, batch, params, tensors)
        return enumeration.row_counts(self.schedule, call, heads=self.heads, inverse=self.is_inverse)

    def inverse(self) -> TileSchedule:
        """The same tiles seen from the keys: which query tiles visit a key tile (and back again)."""
        build = build_schedule if self.is_inverse else build_inverse
        other = build(self.schedule.mask, q_tile=self.schedule.q_tile, kv_tile=self.schedule.kv_tile)
        return replace(self, schedule=other, is_inverse=not self.is_inverse)

    def _call(
        self,
        M: int,
        N: int | None,
        batch: int,
        params: Mapping[str, int | float] | None,
        tensors: Mapping[str, Any] | None,
    ) -> Call:
        for name, length in (("M", M), ("N", N)):
            if length is not None and (not isinstance(length, int) or not 0 <= length < 2**31):
                raise CallError(f"{length!r} is no length", place=name, remedy="use an integer from 0 to 2147483647")
        for param in self.params:
            if param.name not in (params or {}):
                raise CallError(f"`{param.name}` is missing", place="params", remedy=f'params={{"{param.name}": ...}}')
        given = {**self.captured, **(tensors or {})}
        arrays: dict[TensorRef | str, Array] = {name: to_numpy(value) for name, value in given.items()}
        return Call(M, M if N is None else N, batch, self.heads.q, params or {}, arrays)


def schedule(spec: AttentionSpec, q_tile: int = 128, kv_tile: int = 64) -> TileSchedule:
    """The tile schedule of a spec: full, partial and empty tiles in closed form where there is one."""
    as_spec(spec)
    for name, size in (("q_tile", q_tile), ("kv_tile", kv_tile)):
        if not isinstance(size, int) or not 1 <= size <= _LARGEST_TILE:
            raise SpecError(f"{size!r} is no tile size", place=name, remedy=f"use 1 to {_LARGEST_TILE}, say 64 or 128")
    definition = spec.definition
    made = build_schedule(simplify(definition.mask), q_tile=q_tile, kv_tile=kv_tile, params=definition.params)
    return TileSchedule(spec.name, made, definition.heads, definition.head_dim, spec.captured, False, definition.params)


def _lines(view: TileSchedule) -> list[str]:
    made = view.schedule
    outer, inner = ("kv_tile", "q_tile") if view.is_inverse else ("q_tile", "kv_tile")
    length, size = ("N", made.kv_tile) if view.is_inverse else ("M", made.q_tile)
    out = [
        f"# {view.name}: tiles of {made.q_tile} queries by {made.kv_tile} keys",
        f"# keep where {show(made.mask)}",
    ]
    if made.empty:
        return [*out, "# nothing is kept: no tile is visited"]
    out.append(f"for {outer} in range({_ceil(length, size)}):")
    if made.tile_list:
        return [
            *out,
            f"    # a list made at the call: {made.why_list}",
            f"    for {inner} in partial_tiles[{outer}]: masked",
            f"    for {inner} in full_tiles[{outer}]: unmasked",
        ]
    out += [f"    {_bound(bound, size, outer)}" for bound in made.bounds]
    for sweep in made.sweeps:
        out.append(f"    # {sweep.why}")
        for interval in sweep.intervals:
            out.append(f"    for {inner} in {_range(interval)}: {'masked' if sweep.masked else 'unmasked'}")
    return out


def _ceil(length: str, size: int) -> str:
    return length if size == 1 else f"({length} + {size - 1}) // {size}"


def _bound(bound: Bound, size: int, outer: str) -> str:
    value = show(bound.expr)
    if bound.reduce == "uniform":
        return f"{bound.name} = {value}"
    row = "kv" if outer == "kv_tile" else "q"
    return f"{bound.name} = {bound.reduce}({value} for {row} in rows of the tile)"


def _range(interval: Interval) -> str:
    low, high = _text(interval.lo), _text(interval.hi)
    if interval.step != 1:
        return f"range({low}, {high}, {interval.step})"
    return f"range({high})" if low == "0" else f"range({low}, {high})"


def _text(bound: Expr) -> str:
    """The bound as Python, with all operands of a minimum or maximum in one call."""
    if bound.op not in (Op.MIN, Op.MAX):
        return show(bound).replace("minimum(", "min(").replace("maximum(", "max(")
    items, pending = [], [bound]
    while pending:
        item = pending.pop()
        if item.op is bound.op:
            pending += reversed(item.args)
        else:
            items.append(_text(item))
    return f"{'min' if bound.op is Op.MIN else 'max'}({', '.join(items)})"
