"""Lists of the tiles that exist, for masks without a closed form: never by evaluating the mask at every pair.

Each row of tiles starts as one long box of keys. Interval arithmetic says of a box that nothing is
kept (dropped), that everything is (all its tiles are full), or neither (halved). A single tile that
stays undecided is looked into (`attngen.tiling.decide`), so the lists have no waste. The cost is that
of the tiles that exist, times a logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attngen.tiling.boxes import Array
from attngen.tiling.call import Call
from attngen.tiling.decide import CHUNK, decide, joined
from attngen.tiling.mask_boxes import Box, MaskBoxes
from attngen.tiling.row_classes import row_starts
from attngen.tiling.schedule import Schedule


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
class _Kept:
    """Tiles found so far: row of tiles, tile, and how many of the rows in it are kept whole."""

    row: list[Array]
    tile: list[Array]
    whole_rows: list[Array]

    def add(self, row: Array, tile: Array, whole_rows: Array) -> None:
        self.row.append(row)
        self.tile.append(tile)
        self.whole_rows.append(whole_rows)


def build(schedule: Schedule, call: Call, *, inverse: bool = False) -> TileList:
    """The tiles of every query tile (``inverse``: of every key tile), for one call. Exact."""
    mask = MaskBoxes(schedule, call, inverse)
    row, tile, full = _entries(mask, _halved_rows(mask))
    order = np.lexsort((tile, full, row))
    row, tile, full = row[order], tile[order], full[order]
    shape = (mask.batches, mask.heads, mask.rows)
    count = int(np.prod(shape))
    ends = np.cumsum(np.bincount(row, minlength=count))
    starts = np.concatenate([[0], ends[:-1]]).reshape(shape)
    partial = np.bincount(row[~full], minlength=count).reshape(shape)
    offsets = np.concatenate([starts, ends.reshape(shape)[:, :, -1:]], axis=2)
    return TileList(offsets.astype(np.int32), (starts + partial).astype(np.int32), tile.astype(np.int32))


def _entries(mask: MaskBoxes, kept: _Kept) -> tuple[Array, Array, Array]:
    """(row of tiles, tile, is it full), each tile once, from the parts of it that were decided apart."""
    columns = (kept.row, kept.tile, kept.whole_rows)
    row, tile, whole_rows = (np.concatenate([np.zeros(0, np.int64), *parts]) for parts in columns)
    key, where = np.unique(row * mask.tiles + tile, return_inverse=True)
    whole = np.bincount(where, weights=whole_rows, minlength=len(key))
    row, tile = key // mask.tiles, key % mask.tiles
    height = np.minimum(mask.outer[1], mask.outer[0] - row % mask.rows * mask.outer[1])
    inside = (tile + 1) * mask.inner[1] <= mask.inner[0]
    return row, tile, (whole == height) & inside


def _halved_rows(mask: MaskBoxes) -> _Kept:
    """Rows of tiles, halved along the keys until every tile is decided."""
    kept = _Kept([], [], [])
    starts = row_starts(mask)
    count = mask.batches * mask.heads
    row = (np.arange(count)[:, None] * mask.rows + starts // mask.outer[1]).ravel()
    top = np.tile(starts, count)
    bottom = np.tile(np.append(starts[1:], mask.outer[0]) - 1, count)
    open_ = Box(row, top, bottom, np.zeros_like(row), np.full_like(row, mask.tiles - 1))
    while len(open_):
        parts = [_step(mask, open_.at(slice(i, i + CHUNK)), kept) for i in range(0, len(open_), CHUNK)]
        open_ = joined(parts)
    return kept


def _step(mask: MaskBoxes, tiles: Box, kept: _Kept) -> Box:
    """Decide boxes of whole tiles (``left`` and ``right`` are tile numbers); the undecided ones come back halved."""
    size, length = mask.inner[1], mask.inner[0]
    box = Box(tiles.row, tiles.top, tiles.bottom, tiles.left * size, np.minimum((tiles.right + 1) * size, length) - 1)
    every, may = mask.everywhere_somewhere(box)
    _keep_whole(tiles.at(every), kept)
    single = may & ~every & (tiles.left == tiles.right)
    if single.any():
        some, whole = decide(mask, box.at(single))
        rows = np.where(whole, box.height[single], 0)
        kept.add(tiles.row[single][some], tiles.left[single][some], rows[some])
    more = tiles.at(may & ~every & (tiles.left < tiles.right))
    middle = (more.left + more.right) // 2
    return joined(
        [
            Box(more.row, more.top, more.bottom, more.left, middle),
            Box(more.row, more.top, more.bottom, middle + 1, more.right),
        ]
    )


def _keep_whole(tiles: Box, kept: _Kept) -> None:
    """Every tile of boxes that are kept whole."""
    count = tiles.width
    first = np.repeat(np.cumsum(count) - count, count)
    tile = np.repeat(tiles.left, count) + np.arange(len(first)) - first
    kept.add(np.repeat(tiles.row, count), tile, np.repeat(tiles.height, count))
