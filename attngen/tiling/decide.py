"""Single tiles that interval arithmetic leaves open: looked into until some pair and every pair are known."""

from __future__ import annotations

import numpy as np

from attngen.tiling.boxes import Array, Span
from attngen.tiling.mask_boxes import Box, MaskBoxes

CHUNK = 1 << 16  # boxes at a time: bounds memory
_SMALL = 64  # pairs: a box this small is looked at pair by pair
_PROBES = 16  # pairs looked at first


def decide(mask: MaskBoxes, box: Box) -> Span:
    """(some pair is kept, every pair is kept) for each box. Exact."""
    some, hole = np.zeros(len(box), np.bool_), np.zeros(len(box), np.bool_)
    for i in range(0, len(box), CHUNK // _PROBES):
        part = slice(i, i + CHUNK // _PROBES)
        some[part], hole[part] = _probe(mask, box.at(part))
    owner = np.flatnonzero(~(some & hole))
    open_ = box.at(owner)
    while len(owner):
        undecided: list[Array] = []
        for i in range(0, len(owner), CHUNK):
            part = slice(i, i + CHUNK)
            every, may = mask.everywhere_somewhere(open_.at(part))
            some[owner[part][every]] = True
            hole[owner[part][~may]] = True
            undecided.append(may & ~every)
        keep = np.concatenate(undecided) & ~(some & hole)[owner]
        owner, open_ = owner[keep], open_.at(keep)
        small = open_.height * open_.width <= _SMALL
        _look(mask, owner[small], open_.at(small), some, hole)
        owner, open_ = _halved(owner[~small], open_.at(~small))
    return some, some & ~hole


def _probe(mask: MaskBoxes, box: Box) -> Span:
    """(kept, dropped) as seen at a few scattered pairs: most partial tiles show both at once."""
    steps = np.arange(_PROBES)
    down = box.top[:, None] + steps * 37 % _PROBES * (box.height - 1)[:, None] // (_PROBES - 1)
    across = box.left[:, None] + steps * (box.width - 1)[:, None] // (_PROBES - 1)
    kept = mask.pairs(box.row[:, None], down, across, steps % mask.group)
    return np.asarray(kept.any(axis=1)), np.asarray(~kept.all(axis=1))


def _look(mask: MaskBoxes, owner: Array, box: Box, some: Array, hole: Array) -> None:
    """Every pair of small boxes, entered in ``some`` and ``hole`` of their owners."""
    heads = np.arange(mask.group)
    for i in range(0, len(owner), CHUNK // 16):
        part = slice(i, i + CHUNK // 16)
        down, across = _grid(box.at(part))
        kept = mask.pairs(box.row[part][:, None, None], down[..., None], across[..., None], heads)
        kept = kept.reshape(len(kept), -1)
        some[owner[part][kept.any(axis=1)]] = True
        hole[owner[part][~kept.all(axis=1)]] = True


def _grid(box: Box) -> Span:
    """Every pair of boxes of at most `_SMALL` pairs; smaller boxes repeat their last pair."""
    width = box.width[:, None]
    at = np.minimum(np.arange(_SMALL), box.height[:, None] * width - 1)
    return box.top[:, None] + at // width, box.left[:, None] + at % width


def _halved(owner: Array, box: Box) -> tuple[Array, Box]:
    """Each box cut in two across its longer side."""
    tall = box.height >= box.width
    middle, centre = (box.top + box.bottom) // 2, (box.left + box.right) // 2
    first = Box(box.row, box.top, np.where(tall, middle, box.bottom), box.left, np.where(tall, box.right, centre))
    top, left = np.where(tall, middle + 1, box.top), np.where(tall, box.left, centre + 1)
    second = Box(box.row, top, box.bottom, left, box.right)
    return np.concatenate([owner, owner]), joined([first, second])


def joined(parts: list[Box]) -> Box:
    columns = zip(*((part.row, part.top, part.bottom, part.left, part.right) for part in parts), strict=True)
    return Box(*(np.concatenate(column) for column in columns))
