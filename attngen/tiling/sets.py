"""The tiles of a mask as isl sets, for a symbolic tile of the outer axis and symbolic lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import islpy as isl

from attngen.expr.build import INT, KV_IDX, M_LEN, N_LEN, Q_IDX, all_of, const, make, named
from attngen.expr.op import Expr, Op, walk
from attngen.expr.to_isl import Space
from attngen.tiling.schedule import QUERY_TILE

QUERY_TILE_LEAF = named(QUERY_TILE, INT)
KEY_TILE_LEAF = named("kv_tile", INT)

# isl counts its own operations, so giving up does not depend on the machine or its load. With remainders
# of both q and kv an operation costs more, and a short closed form is rare.
OPERATION_LIMIT = 150_000
REMAINDER_LIMIT = 40_000
_NONE: Mapping[Expr, str] = {}


@dataclass(frozen=True)
class Axes:
    """Which index is fixed by the tile (outer) and which one the sweep runs along (inner)."""

    outer: Expr
    outer_length: Expr
    outer_size: int
    outer_tile: Expr
    inner: Expr
    inner_length: Expr
    inner_size: int
    inner_tile: Expr

    @staticmethod
    def forward(q_tile: int, kv_tile: int) -> Axes:
        return Axes(Q_IDX, M_LEN, q_tile, QUERY_TILE_LEAF, KV_IDX, N_LEN, kv_tile, KEY_TILE_LEAF)

    @staticmethod
    def inverse(q_tile: int, kv_tile: int) -> Axes:
        return Axes(KV_IDX, N_LEN, kv_tile, KEY_TILE_LEAF, Q_IDX, M_LEN, q_tile, QUERY_TILE_LEAF)


class TileSets:
    """isl work for one mask: the context that always holds, and images of (q, kv) sets on tile numbers."""

    def __init__(self, axes: Axes, exprs: list[Expr], facts: list[Expr], reduced: Mapping[Expr, str] = _NONE) -> None:
        """``reduced``: which leaves are bounds made of data, and how: "uniform" (a window, a length), "min", "max"."""
        self.axes = axes
        self.context = isl.Context()
        remainders = sum(node.op is Op.MOD for node in walk(*exprs))
        self.context.set_max_operations(REMAINDER_LIMIT if remainders > 1 else OPERATION_LIMIT)
        leaves = [node for node in walk(*exprs, *facts) if node.op in (Op.PARAM, Op.NAMED, Op.LENGTH)]
        self.params = tuple(dict.fromkeys([axes.outer_tile, M_LEN, N_LEN, *leaves]))
        self.points = Space(self.context, self.params, [Q_IDX, KV_IDX])
        self.tiles = self.points.with_dims([axes.inner_tile])
        self.always = self.points.with_dims([])
        start = make(Op.MUL, const(axes.outer_size), axes.outer_tile)
        self.truths = [
            make(Op.GE, axes.outer_tile, const(0)),
            make(Op.LT, start, axes.outer_length),
            make(Op.GE, axes.inner_length, const(1)),
            *facts,
        ]
        self.known = self.always.set(all_of(self.truths)).params()
        self.of_rows = frozenset(leaf for leaf, how in reduced.items() if how != "uniform")
        numbers = [leaf for leaf in self.params if leaf.op is Op.PARAM or reduced.get(leaf) == "uniform"]
        self.usual = self.known & self.always.set(all_of([make(Op.GE, leaf, const(1)) for leaf in numbers])).params()
        rows = [make(Op.LE, start, axes.outer), make(Op.LT, axes.outer, make(Op.ADD, start, const(axes.outer_size)))]
        self._rows = self.points.set(all_of([*rows, make(Op.GE, axes.inner, const(0))]))
        self._inside = self.points.set(
            all_of([make(Op.LT, axes.outer, axes.outer_length), make(Op.LT, axes.inner, axes.inner_length)])
        )
        self.rows = self._rows.intersect_params(self.known)
        names = ", ".join(f"p{i}" for i in range(len(self.params)))
        inner = "x1" if axes.inner is KV_IDX else "x0"
        size = axes.inner_size
        self._to_tile = isl.Map.read_from_str(
            self.context, f"[{names}] -> {{ [x0, x1] -> [j] : {size} j <= {inner} < {size} j + {size} }}"
        )
        self._every_tile = self.tiles.set(make(Op.GE, axes.inner_tile, const(0))).intersect_params(self.known)

    def touched(self, points: isl.Set) -> isl.Set:
        """Tiles of the sweep that hold a point of the set, inside the lengths."""
        domain = self.rows & self._inside
        return (points & domain).apply(self._to_tile).coalesce()

    def covered(self, points: isl.Set) -> isl.Set:
        """Tiles of the sweep that the set fills. Rows beyond the end do not exist, keys beyond the end are holes.

        Rows are not cut at the length: a full tile then needs no condition on it, and the rows
        beyond are never stored.
        """
        inside = points & self.points.set(make(Op.LT, self.axes.inner, self.axes.inner_length))
        holes = (self.rows - inside).apply(self._to_tile)
        return (self._every_tile - holes).coalesce()
