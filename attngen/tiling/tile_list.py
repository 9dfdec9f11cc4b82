"""Lists of the tiles that exist, for masks without a closed form: never by evaluating the mask at every pair.

Each row of tiles starts as one long box of keys. Interval arithmetic says of a box that nothing is
kept (dropped), that everything is (all its tiles are full), or neither (halved). A single tile that
stays undecided is halved further inside, and at last looked at pair by pair, so the lists have no waste.
The cost is that of the tiles that exist, times a logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr, Op, walk
from attngen.tiling.boxes import Boxes, Span
from attngen.tiling.call import Call
from attngen.tiling.row_classes import row_starts
from attngen.tiling.schedule import Schedule

Array = npt.NDArray[Any]

_CHUNK = 1 << 16  # boxes at a time: bounds memory
_SMALL = 64  # pairs: a box this small is looked at pair by pair
_PROBES = 16  # pairs looked at first, to see that a tile is partial


@dataclass(frozen=True)
class TileList:
    """CSR: the tiles of row (b, h, t) are indices[offsets[b, h, t] : offsets[b, h, t + 1]].

    Partial ones come first, full ones from split[b, h, t] on, each in ascending order. A leading
    dimension is 1 where the mask does not depend on the batch or head.
    """

    offsets: Array  # int32 [B', H', tiles + 1]
    split: Array  # int32 [B', H', tiles]
    indices: Array  # int32 [n]


@dataclass
class _Found:
    """Tiles of the list, one entry a (row of tiles, tile): is every pair of it kept?"""

    row: Array
    tile: Array
    full: Array


def build(schedule: Schedule, call: Call, *, inverse: bool = False) -> TileList:
    """The tiles of every query tile (``inverse``: of every key tile), for one call. Exact."""
    return _Builder(schedule, call, inverse).build()


class _Builder:
    def __init__(self, schedule: Schedule, call: Call, inverse: bool) -> None:
        self.mask = schedule.mask
        self.boxes = Boxes(call.lengths, call.params, call.arrays([self.mask]))
        self.inverse = inverse
        self.group = call.heads_a_tile
        if inverse:
            self.outer, self.inner = (call.N, schedule.kv_tile), (call.M, schedule.q_tile)
        else:
            self.outer, self.inner = (call.M, schedule.q_tile), (call.N, schedule.kv_tile)
        used = {node.value for node in walk(self.mask) if node.op is Op.INDEX}
        self.batches = call.B if "b" in used else 1
        self.heads = call.H // self.group if "h" in used else 1
        self.rows = -(-self.outer[0] // self.outer[1])
        self.tiles = -(-self.inner[0] // self.inner[1])

    def build(self) -> TileList:
        found = self._found()
        order = np.lexsort((found.tile, found.full, found.row))
        row, tile, full = found.row[order], found.tile[order], found.full[order]
        count = self.batches * self.heads * self.rows
        ends = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=count))])
        partial = np.bincount(row, weights=~full, minlength=count).astype(np.int64)
        shape = (self.batches, self.heads, self.rows)
        starts = ends[:-1].reshape(shape)
        offsets = np.concatenate([starts, ends[1:].reshape(shape)[:, :, -1:]], axis=2)
        split = starts + partial.reshape(shape)
        return TileList(offsets.astype(np.int32), split.astype(np.int32), tile.astype(np.int32))

    # boxes of the mask

    def _evaluate(self, row: Array, outer: Span, inner: Span) -> Span:
        """The mask over boxes: row of tiles, rows inside it, keys."""
        everywhere, somewhere = self.boxes.evaluate(self.mask, self._index(row, outer, inner))
        return np.broadcast_to(everywhere, row.shape), np.broadcast_to(somewhere, row.shape)

    def _index(self, row: Array, outer: Span, inner: Span) -> dict[str, Span]:
        head = row // self.rows % self.heads
        batch = row // (self.rows * self.heads)
        heads = (head * self.group, head * self.group + self.group - 1) if self.group > 1 else (head, head)
        return {"b": (batch, batch), "h": heads, "q": inner if self.inverse else outer, "kv": outer if self.inverse else inner}

    def _pairs(self, row: Array, outer: Array, inner: Array, head: Array) -> Array:
        """The mask at single pairs."""
        index = {name: span[0] for name, span in self._index(row, (outer, outer), (inner, inner)).items()}
        index["h"] = index["h"] + head
        env = Env(index, self.boxes.lengths, self.boxes.params, None, self.boxes.tensors)
        return np.broadcast_to(evaluate(self.mask, env), np.broadcast_shapes(*(x.shape for x in index.values())))

    # rows of tiles, halved along the keys

    def _found(self) -> _Found:
        row, low, high = self._first_boxes()
        first, last = np.zeros_like(row), np.full_like(row, self.tiles - 1)
        kept: list[tuple[Array, Array, Array]] = []  # (row, tile, rows of it that are full)
        while len(row):
            parts = [self._halve(*(x[i : i + _CHUNK] for x in (row, low, high, first, last)), kept)
                     for i in range(0, len(row), _CHUNK)]  # fmt: skip
            row, low, high, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
        rows, tiles, full_rows = (np.concatenate(c) if c else np.zeros(0, np.int64) for c in zip(*kept, strict=True)) if (
            kept
        ) else (np.zeros(0, np.int64),) * 3
        key, where = np.unique(rows * self.tiles + tiles, return_inverse=True)
        covered = np.bincount(where, weights=full_rows, minlength=len(key))
        row, tile = key // self.tiles, key % self.tiles
        start = row % self.rows * self.outer[1]
        height = np.minimum(self.outer[1], self.outer[0] - start)
        whole = (tile + 1) * self.inner[1] <= self.inner[0]
        return _Found(row, tile, (covered == height) & whole)

    def _first_boxes(self) -> Span | tuple[Array, Array, Array]:
        starts = row_starts(self.mask, self.boxes, self.outer[0], self.outer[1], inverse=self.inverse)
        ends = np.append(starts[1:], self.outer[0]) - 1
        count = self.batches * self.heads
        row = starts // self.outer[1]
        return (
            (np.arange(count)[:, None] * self.rows + row).ravel(),
            np.tile(starts, count),
            np.tile(ends, count),
        )

    def _halve(
        self, row: Array, low: Array, high: Array, first: Array, last: Array, kept: list[tuple[Array, Array, Array]]
    ) -> tuple[Array, ...]:
        """One step for boxes of whole tiles; what is decided goes to ``kept``."""
        inner = first * self.inner[1], np.minimum((last + 1) * self.inner[1], self.inner[0]) - 1
        everywhere, somewhere = self._evaluate(row, (low, high), inner)
        self._keep_full(row[everywhere], (high - low + 1)[everywhere], first[everywhere], last[everywhere], kept)
        open_ = somewhere & ~everywhere
        single = open_ & (first == last)
        if single.any():
            boxes = [x[single] for x in (row, low, high, *inner)]
            any_kept, all_kept = self._decide(*boxes)
            rows_full = np.where(all_kept, boxes[2] - boxes[1] + 1, 0)
            kept.append((boxes[0][any_kept], first[single][any_kept], rows_full[any_kept]))
        more = open_ & ~single
        row, low, high, first, last = (x[more] for x in (row, low, high, first, last))
        middle = (first + last) // 2
        return tuple(
            np.concatenate(pair)
            for pair in ((row, row), (low, low), (high, high), (first, middle + 1), (middle, last))
        )

    def _keep_full(
        self, row: Array, height: Array, first: Array, last: Array, kept: list[tuple[Array, Array, Array]]
    ) -> None:
        count = last - first + 1
        total = int(count.sum())
        if total:
            start = np.repeat(np.cumsum(count) - count, count)
            kept.append((np.repeat(row, count), np.repeat(first, count) + np.arange(total) - start, np.repeat(height, count)))

    # inside a tile

    def _decide(self, row: Array, low: Array, high: Array, left: Array, right: Array) -> Span:
        """(some pair is kept, every pair is kept) for boxes of one tile each."""
        some, hole = np.zeros(len(row), np.bool_), np.zeros(len(row), np.bool_)
        self._probe(row, low, high, left, right, some, hole)
        owner = np.flatnonzero(~(some & hole))
        boxes = tuple(x[owner] for x in (row, low, high, left, right))
        while len(owner):
            for i in range(0, len(owner), _CHUNK):
                at = owner[i : i + _CHUNK]
                part = tuple(x[i : i + _CHUNK] for x in boxes)
                everywhere, somewhere = self._evaluate(part[0], part[1:3], part[3:5])
                some[at[everywhere]] = True
                hole[at[~somewhere]] = True
                if i == 0:
                    open_ = []
                open_.append(somewhere & ~everywhere)
            keep = np.concatenate(open_) & ~(some & hole)[owner]
            owner, boxes = owner[keep], tuple(x[keep] for x in boxes)
            small = (boxes[2] - boxes[1] + 1) * (boxes[4] - boxes[3] + 1) <= _SMALL
            self._look(owner[small], tuple(x[small] for x in boxes), some, hole)
            owner, boxes = owner[~small], tuple(x[~small] for x in boxes)
            owner, boxes = _quartered(owner, boxes)
        return some, some & ~hole

    def _probe(self, row: Array, low: Array, high: Array, left: Array, right: Array, some: Array, hole: Array) -> None:
        """A few scattered pairs of each box: most partial tiles show both a kept and a dropped pair."""
        steps = np.arange(_PROBES)
        down = low[:, None] + steps * 37 % _PROBES * (high - low)[:, None] // (_PROBES - 1)
        across = left[:, None] + steps * (right - left)[:, None] // (_PROBES - 1)
        kept = self._pairs(row[:, None], down, across, steps % self.group)
        some |= kept.any(axis=1)
        hole |= ~kept.all(axis=1)

    def _look(self, owner: Array, boxes: tuple[Array, ...], some: Array, hole: Array) -> None:
        """Every pair of small boxes."""
        row, low, high, left, right = boxes
        heads = np.arange(self.group)
        for i in range(0, len(owner), _CHUNK // _SMALL * 4):
            part = slice(i, i + _CHUNK // _SMALL * 4)
            down, across = _grid(low[part], high[part], left[part], right[part])
            kept = self._pairs(row[part][:, None, None], down[..., None], across[..., None], heads)
            kept = kept.reshape(len(kept), -1)
            some[owner[part]] |= False
            np.logical_or.at(some, owner[part], kept.any(axis=1))
            np.logical_or.at(hole, owner[part], ~kept.all(axis=1))


def _grid(low: Array, high: Array, left: Array, right: Array) -> Span:
    """Every pair of boxes of at most `_SMALL` pairs; shorter boxes repeat their last pair."""
    width = (right - left + 1)[:, None]
    count = (high - low + 1)[:, None] * width
    at = np.minimum(np.arange(_SMALL), count - 1)
    return low[:, None] + at // width, left[:, None] + at % width


def _quartered(owner: Array, boxes: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    """Boxes halved along their longer side."""
    row, low, high, left, right = boxes
    tall = high - low >= right - left
    middle, centre = (low + high) // 2, (left + right) // 2
    first = (row, low, np.where(tall, middle, high), left, np.where(tall, right, centre))
    second = (row, np.where(tall, middle + 1, low), high, np.where(tall, left, centre + 1), right)
    halves = tuple(np.concatenate(pair) for pair in zip(first, second, strict=True))
    return np.concatenate([owner, owner]), halves
