"""A mask over boxes of rows and keys, as the builder of tile lists numbers them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Op, walk
from attngen.tiling.boxes import Array, Boxes, Span
from attngen.tiling.call import Call
from attngen.tiling.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Box:
    """Many boxes: the row of tiles they lie in, first and last row, first and last key (all inclusive)."""

    row: Array
    top: Array
    bottom: Array
    left: Array
    right: Array

    def __len__(self) -> int:
        return len(self.row)

    def at(self, where: Array | slice) -> Box:
        return Box(self.row[where], self.top[where], self.bottom[where], self.left[where], self.right[where])

    @property
    def height(self) -> Array:
        return self.bottom - self.top + 1

    @property
    def width(self) -> Array:
        return self.right - self.left + 1


class MaskBoxes:
    """``outer``, ``inner``: (length, tile size) of the axis of the rows and of the axis of the sweep.

    A row of tiles has one number over batches, heads (or groups of heads) and tiles.
    """

    def __init__(self, schedule: Schedule, call: Call, inverse: bool) -> None:
        self.mask = schedule.mask
        self.boxes = Boxes(call.lengths, call.params, call.arrays([self.mask]))
        self.inverse = inverse
        self.group = call.heads_a_tile
        q, kv = (call.M, schedule.q_tile), (call.N, schedule.kv_tile)
        self.outer, self.inner = (kv, q) if inverse else (q, kv)
        used = {node.value for node in walk(self.mask) if node.op is Op.INDEX}
        self.batches = call.B if "b" in used else 1
        self.heads = call.H // self.group if "h" in used else 1
        self.rows = -(-self.outer[0] // self.outer[1])
        self.tiles = -(-self.inner[0] // self.inner[1])

    def everywhere_somewhere(self, box: Box) -> Span:
        """Is every pair of a box kept, may some pair be kept?"""
        index = self._index(box.row, (box.top, box.bottom), (box.left, box.right))
        every, some = self.boxes.evaluate(self.mask, index)
        return np.broadcast_to(every, box.row.shape), np.broadcast_to(some, box.row.shape)

    def pairs(self, row: Array, outer: Array, inner: Array, head: Array) -> Array:
        """The mask at single pairs; ``head`` counts inside the group of the row."""
        index = {name: span[0] for name, span in self._index(row, (outer, outer), (inner, inner)).items()}
        index["h"] = index["h"] + head
        env = Env(index, self.boxes.lengths, self.boxes.params, None, self.boxes.tensors)
        shape = np.broadcast_shapes(*(x.shape for x in index.values()))
        return np.broadcast_to(evaluate(self.mask, env), shape)

    def _index(self, row: Array, outer: Span, inner: Span) -> dict[str, Span]:
        head = row // self.rows % self.heads
        batch = row // (self.rows * self.heads)
        heads = (head * self.group, head * self.group + self.group - 1) if self.group > 1 else (head, head)
        q, kv = (inner, outer) if self.inverse else (outer, inner)
        return {"b": (batch, batch), "h": heads, "q": q, "kv": kv}
