"""Move what does not vary over a whole tile out of it: per-tile, per-row and per-column values get names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from attngen.expr.axis import NAME_BY_AXIS, Axis, axes
from attngen.expr.build import named, rebuild
from attngen.expr.op import LEAVES, Expr, Kind, Op, walk
from attngen.graph.node import AttentionGraph, AttentionOp, Hoisted, Node

_STEM = {
    (Axis.TILE, Kind.FLOAT): "factor", (Axis.TILE, Kind.INT): "shift", (Axis.TILE, Kind.BOOL): "tile_keep",
    (Axis.ROW, Kind.FLOAT): "row_bias", (Axis.ROW, Kind.INT): "row_bound", (Axis.ROW, Kind.BOOL): "row_keep",
    (Axis.COLUMN, Kind.FLOAT): "col_bias", (Axis.COLUMN, Kind.INT): "col_key", (Axis.COLUMN, Kind.BOOL): "col_keep",
}  # fmt: skip

_PREFIX = {Axis.TILE: "tile", Axis.ROW: "row", Axis.COLUMN: "col"}


class _Names:
    """Fresh names by meaning; the same expression has the same name in score and mask."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self.known: dict[Expr, Hoisted] = {}

    def hoisted(self, expr: Expr, axis: Axis) -> Hoisted:
        if expr not in self.known:
            stem = _STEM[axis, expr.kind]
            if expr.op is Op.LOAD:
                stem = f"{_PREFIX[axis]}_{expr.value.name}"
            name, count = stem, 2
            while name in self.taken:
                name, count = f"{stem}_{count}", count + 1
            self.taken.add(name)
            self.known[expr] = Hoisted(name, expr, NAME_BY_AXIS[axis])
        return self.known[expr]


def hoist(graph: AttentionGraph, *, row_heads: bool) -> AttentionGraph:
    definition = graph.definition
    taken = [param.name for param in definition.params] + [ref.name for ref in definition.tensors]
    names = _Names(taken)
    for op in (AttentionOp.SCORE, AttentionOp.MASK):
        node = graph.get(op)
        if node is not None and node.expr is not None:
            graph = graph.replace(node, _hoist(node, names, row_heads))
    return graph


def _hoist(node: Node, names: _Names, row_heads: bool) -> Node:
    assert node.expr is not None
    found: dict[str, Hoisted] = {}
    expr = _outside(node.expr, names, found, row_heads)
    return node.with_(expr=expr, hoisted=tuple(found.values()))


def _outside(root: Expr, names: _Names, found: dict[str, Hoisted], row_heads: bool) -> Expr:
    """``root`` with every maximal sub-expression of a narrower axis replaced by a name in ``found``."""
    axis = axes(root, row_heads=row_heads)
    # an expression of the tile's own axis is used where it is computed: only its inner, narrower parts move
    whole = axis[root]
    done: dict[Expr, Expr] = {}
    for item in walk(root):
        if axis[item] is not whole:
            done[item] = item
            continue
        args = []
        for arg in item.args:
            if axis[arg] is whole or _trivial(arg):
                args.append(done[arg])
                continue
            value = names.hoisted(arg, axis[arg])
            if axis[arg] is not Axis.TILE:  # a column is computed in the loop: its own per-tile parts move out of it
                value = dataclasses.replace(value, expr=_outside(arg, names, found, row_heads))
            found[value.name] = value
            args.append(named(value.name, arg.kind, value.axis))
        done[item] = rebuild(item, tuple(args))
    return done[root]


def _trivial(node: Expr) -> bool:
    """Leaves, and conversions of them that the compiler sees as free."""
    return (node.op in LEAVES and node.op is not Op.SIZE) or (node.op is Op.TO_FLOAT and node.args[0].op is Op.CONST)
