"""What an expression varies over inside one tile: nothing, its rows, its columns, or both."""

from __future__ import annotations

from enum import IntFlag

from attngen.expr.op import Expr, Op, walk


class Axis(IntFlag):
    """TILE is one value a tile; ROW a value per query row; COLUMN per key; BOTH per pair."""

    TILE = 0
    ROW = 1
    COLUMN = 2
    BOTH = 3


AXIS_BY_NAME = {"tile": Axis.TILE, "row": Axis.ROW, "column": Axis.COLUMN, "both": Axis.BOTH}
NAME_BY_AXIS = {axis: name for name, axis in AXIS_BY_NAME.items()}


def axes(*roots: Expr, row_heads: bool) -> dict[Expr, Axis]:
    """The axis of every sub-expression. ``row_heads``: the rows of a tile belong to several query heads."""
    found: dict[Expr, Axis] = {}
    for node in walk(*roots):
        axis = Axis.TILE
        match node.op:
            case Op.INDEX if node.value == "q" or (node.value == "h" and row_heads):
                axis = Axis.ROW
            case Op.INDEX if node.value == "kv":
                axis = Axis.COLUMN
            case Op.SCORE:
                axis = Axis.BOTH
            case Op.NAMED:
                axis = AXIS_BY_NAME[node.value.axis]
        for arg in node.args:
            axis |= found[arg]
        found[node] = axis
    return found
