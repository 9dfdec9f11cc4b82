"""The tiles of a schedule for numbers: as an array, and counted, in time proportional to the tiles' rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Op, walk
from attngen.language.definition import HeadDim, Heads
from attngen.tiling import tile_list
from attngen.tiling.call import Call
from attngen.tiling.schedule import QUERY_TILE, Bound, Schedule, Sweep
from attngen.tiling.sets import KEY_TILE_LEAF

Array = npt.NDArray[Any]

EMPTY, PARTIAL, FULL = 0, 1, 2


@dataclass(frozen=True)
class Counts:
    """Work of one call, over all batches and query heads.

    ``tiles_total``: of the whole rectangle. ``flops``: of the visited tiles, both products. ``bytes``:
    each of q, k, v, out once; ``bytes_loaded``: what the kernel asks for, keys and values again for each query tile.
    """

    tiles_full: int
    tiles_partial: int
    tiles_total: int
    flops: int
    bytes: int
    bytes_loaded: int


@dataclass(frozen=True)
class RowCounts:
    """Visited tiles of each row of tiles: int [batches, heads, rows] as one row, batches and heads where they differ.

    All batches and query heads together are that ``times`` over.
    """

    full: Array
    partial: Array
    times: int


def tiles(schedule: Schedule, call: Call, *, b: int = 0, h: int = 0, inverse: bool = False) -> Array:
    """int8 [query tiles, key tiles]: 0 empty, 1 partial, 2 full, at batch ``b`` and head ``h``.

    With `Call.heads_a_tile` > 1, ``h`` is the number of the group of heads.
    """
    rows, columns = _grid(schedule, call, inverse)
    out = np.zeros((rows, columns), np.int8)
    if schedule.tile_list:
        found = tile_list.build(schedule, call, inverse=inverse)
        b, h = min(b, found.offsets.shape[0] - 1), min(h, found.offsets.shape[1] - 1)
        for row in range(rows):
            start, middle, end = found.offsets[b, h, row], found.split[b, h, row], found.offsets[b, h, row + 1]
            out[row, found.indices[start:middle]] = PARTIAL
            out[row, found.indices[middle:end]] = FULL
    else:
        named = _named(schedule, call, np.array([b]), np.array([h]), inverse)
        for sweep in schedule.sweeps:
            for low, high, step in _spans(sweep, call, named, (1, 1, rows)):
                for row, (start, stop) in enumerate(zip(low[0, 0], high[0, 0], strict=True)):
                    if start < 0 or stop > columns:
                        assert start >= stop, f"a sweep leaves the tiles: {start}..{stop} of {columns}"
                    elif start < stop:
                        out[row, start:stop:step] += FULL if not sweep.masked else PARTIAL
    return out.T if inverse else out


def counts(
    schedule: Schedule, call: Call, *, heads: Heads, head_dim: HeadDim, itemsize: int = 2, inverse: bool = False
) -> Counts:
    """Tiles, operations and bytes of one call, summed over rows of tiles."""
    rows, columns = _grid(schedule, call, inverse)
    found = row_counts(schedule, call, heads=heads, inverse=inverse)
    full, partial = int(found.full.sum()) * found.times, int(found.partial.sum()) * found.times
    work = full + partial
    width = head_dim.qk + head_dim.v
    q_and_out = call.B * heads.q * call.M * width * itemsize
    keys = call.B * heads.kv * call.N * width * itemsize
    return Counts(
        tiles_full=full,
        tiles_partial=partial,
        tiles_total=call.B * heads.q * rows * columns,
        flops=2 * work * schedule.q_tile * schedule.kv_tile * width,
        bytes=q_and_out + keys,
        bytes_loaded=q_and_out + work * schedule.kv_tile * width * itemsize,
    )


def row_counts(schedule: Schedule, call: Call, *, heads: Heads, inverse: bool = False) -> RowCounts:
    """(full, partial) tiles of every row of tiles, where batches or heads differ for each of them."""
    if schedule.tile_list:
        sized = Call(call.M, call.N, call.B, heads.q, call.params, call.tensors)
        found = tile_list.build(schedule, sized, inverse=inverse)
        # a list that is the same for all batches or heads is made once
        made = found.offsets.shape[0] * found.offsets.shape[1]
        partial = found.split - found.offsets[:, :, :-1]
        full = found.offsets[:, :, 1:] - found.split
        return RowCounts(full.ravel(), partial.ravel(), call.B * heads.q // made)
    used = {node.value for node in walk(schedule.mask) if node.op is Op.INDEX}
    batches, head_count = (call.B if "b" in used else 1), (heads.q if "h" in used else 1)
    rows, _ = _grid(schedule, call, inverse)
    named = _named(schedule, call, np.arange(batches), np.arange(head_count), inverse)
    totals = {masked: np.zeros((batches, head_count, rows), np.int64) for masked in (False, True)}
    for sweep in schedule.sweeps:
        for low, high, step in _spans(sweep, call, named, (batches, head_count, rows)):
            totals[sweep.masked] += np.maximum(-((low - high) // step), 0)
    return RowCounts(totals[False].ravel(), totals[True].ravel(), call.B // batches * (heads.q // head_count))


def _grid(schedule: Schedule, call: Call, inverse: bool) -> tuple[int, int]:
    rows, columns = -(-call.M // schedule.q_tile), -(-call.N // schedule.kv_tile)
    return (columns, rows) if inverse else (rows, columns)


def _named(schedule: Schedule, call: Call, batches: Array, heads: Array, inverse: bool) -> dict[str, Array]:
    """The tile numbers and every bound, as arrays [batch, head, row of tiles]."""
    rows, _ = _grid(schedule, call, inverse)
    name = KEY_TILE_LEAF.value.name if inverse else QUERY_TILE
    named: dict[str, Array] = {name: np.arange(rows).reshape(1, 1, -1)}
    for bound in schedule.bounds:
        named[bound.name] = _bound(bound, schedule, call, batches, heads, inverse)
    return named


def _bound(bound: Bound, schedule: Schedule, call: Call, batches: Array, heads: Array, inverse: bool) -> Array:
    rows, _ = _grid(schedule, call, inverse)
    size, length = (schedule.kv_tile, call.N) if inverse else (schedule.q_tile, call.M)
    at = np.minimum(np.arange(rows * size), length - 1).reshape(1, 1, rows, size, 1)
    group = call.heads_a_tile
    index = {
        "b": batches.reshape(-1, 1, 1, 1, 1),
        "h": (heads * group).reshape(1, -1, 1, 1, 1) + np.arange(group),
        "kv" if inverse else "q": at,
    }
    env = Env(index, call.lengths, call.params, None, call.arrays([bound.expr]))
    value = np.broadcast_to(evaluate(bound.expr, env), (len(batches), len(heads), rows, size, group))
    if bound.reduce == "uniform":
        return value[..., 0, 0]
    least: Array = value.min(axis=(3, 4)) if bound.reduce == "min" else value.max(axis=(3, 4))
    return least


def _spans(sweep: Sweep, call: Call, named: dict[str, Array], shape: tuple[int, ...]) -> list[tuple[Array, Array, int]]:
    env = Env({}, call.lengths, call.params, None, {}, named)
    return [
        (
            np.broadcast_to(evaluate(interval.lo, env), shape),
            np.broadcast_to(evaluate(interval.hi, env), shape),
            interval.step,
        )
        for interval in sweep.intervals
    ]
