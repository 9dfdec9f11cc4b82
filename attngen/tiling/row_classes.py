"""Where the rows of a tile fall apart: data or a hash of the row that changes a few times inside a tile."""

from __future__ import annotations

import numpy as np

from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr, Op, walk
from attngen.tiling.boxes import Array
from attngen.tiling.mask_boxes import MaskBoxes

_MOST_PIECES = 8  # a tile


def row_starts(mask: MaskBoxes) -> Array:
    """First rows of boxes: every tile, cut where a value of the row jumps, if that is seldom.

    A hash or a load of the row block has no useful interval over two blocks; over one it is a number.
    """
    (length, tile), boxes = mask.outer, mask.boxes
    index = "kv" if mask.inverse else "q"
    env = Env({index: np.arange(length)}, boxes.lengths, boxes.params, None, boxes.tensors)
    changed = np.zeros(length, np.bool_)
    for expr in _jumpy(mask.mask, index):
        value = np.broadcast_to(evaluate(expr, env), (length,))
        here = np.zeros(length, np.bool_)
        here[1:] = value[1:] != value[:-1]
        changed |= _seldom(here, tile)
    starts = _seldom(changed, tile)
    starts[::tile] = True
    return np.flatnonzero(starts)


def _seldom(changed: Array, tile: int) -> Array:
    """The changes of those tiles that have few of them."""
    length = len(changed)
    padded = np.zeros(-(-length // tile) * tile, np.bool_)
    padded[:length] = changed
    count = padded.reshape(-1, tile).sum(axis=1)
    seldom: Array = changed & np.repeat(count < _MOST_PIECES, tile)[:length]
    return seldom


def _jumpy(mask: Expr, row: str) -> list[Expr]:
    """The largest integers that depend on the row alone and are not monotone in it."""
    alone: dict[Expr, bool] = {}
    jumps: dict[Expr, bool] = {}
    for node in walk(mask):
        own = node.op is not Op.INDEX or node.value == row
        alone[node] = own and all(alone[arg] for arg in node.args)
        jumps[node] = node.op in (Op.MOD, Op.LOAD) or any(jumps[arg] for arg in node.args)
    users: dict[Expr, list[Expr]] = {}
    for node in walk(mask):
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    return [
        node
        for node in walk(mask)
        if alone[node] and jumps[node] and any(not alone[user] for user in users.get(node, []))
    ]
