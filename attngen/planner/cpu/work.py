"""The tiles that candidates visit at a few lengths: one fine schedule of the mask, its tiles put together.

A schedule for each tile size of the space would take longer than the rest of a compilation. The tiles of a fine one
make up those of a coarse one: empty where all are empty, full where all are full, else masked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.expr.op import tensors
from attngen.expr.simplify import simplify
from attngen.planner.cpu.plan import CpuPlan
from attngen.planner.problem import Problem
from attngen.planner.waves import Work, rectangle
from attngen.tiling import enumerate as enumeration
from attngen.tiling.build import build_schedule
from attngen.tiling.call import Call

Array = npt.NDArray[Any]
WorkOf = Callable[[CpuPlan], Work]
LENGTHS = (256, 1024, 2048)
"""Where none is given: a plan shall be good at all of them."""
DECODED = (4096, 32768)
"""The same of keys, for few queries."""
DOCUMENT = 256
"""Where the mask depends on tensors, whose values a compilation does not see: taken for causal documents so long."""


def every_tile(plan: CpuPlan, problem: Problem) -> Work:
    """The work of full attention: every query tile visits all key tiles."""
    heads = problem.definition.heads.kv if plan.pack > 1 else problem.definition.heads.q
    rows = -(-problem.query_rows // plan.block_q)
    return rectangle(rows, -(-problem.key_rows // plan.block_n), heads * problem.batch)


def works(problem: Problem, plans: Iterable[CpuPlan]) -> tuple[tuple[int, WorkOf], ...]:
    """(length, work of a plan) at the problem's length, or at all of `LENGTHS`."""
    plans = tuple(plans)
    sizes = {(plan.block_q, plan.block_n) for plan in plans}
    fine = math.gcd(*(rows for rows, _ in sizes)), math.gcd(*(keys for _, keys in sizes))
    if problem.seqlen_q is None:
        known = problem.seqlen_kv
        lengths = [(length, length) for length in ((known,) if known else LENGTHS)]
    else:
        known = problem.seqlen_kv
        lengths = [(problem.seqlen_q, keys) for keys in ((known,) if known else DECODED)]
    if plans[0].decode:  # priced by its keys
        return tuple((keys, lambda plan: rectangle(1, 1, 1)) for _, keys in lengths)
    grid = _fine(problem, *fine)
    return tuple((keys, _work_of(problem, grid, queries, keys, fine)) for queries, keys in lengths)


def _work_of(
    problem: Problem, grid: Callable[[int, int], Array], queries: int, keys: int, fine: tuple[int, int]
) -> WorkOf:
    heads = problem.definition.heads

    @cache
    def sums() -> tuple[Array, Array]:
        tiles = grid(queries, keys)
        return _sums(tiles != enumeration.EMPTY), _sums(tiles == enumeration.FULL)

    @cache
    def of_tile(block_q: int, block_n: int, times: int) -> Work:
        if not problem.masked:
            rows, whole, rest = -(-queries // block_q), keys // block_n, float(keys % block_n > 0)
            return Work((float(whole),) * rows, (rest,) * rows, times) if rest else rectangle(rows, whole, times)
        some, full = sums()
        at_rows = _edges(some.shape[0] - 1, block_q // fine[0])
        at_keys = _edges(some.shape[1] - 1, block_n // fine[1])
        visited = _between(some, at_rows, at_keys) > 0
        whole = _between(full, at_rows, at_keys) == np.outer(np.diff(at_rows), np.diff(at_keys))
        if keys % block_n:  # the last tile ends beyond the keys
            whole[:, -1] = False
        unmasked = whole.sum(1)
        return Work(tuple(map(float, unmasked)), tuple(map(float, visited.sum(1) - unmasked)), times)

    return lambda plan: of_tile(plan.block_q, plan.block_n, problem.batch * (heads.kv if plan.pack > 1 else heads.q))


def _sums(cells: Array) -> Array:
    """How many are true above and left of each corner."""
    out = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), np.int32)
    np.cumsum(cells.cumsum(1, dtype=np.int32), 0, out=out[1:, 1:])
    return out


def _edges(cells: int, step: int) -> Array:
    return np.minimum(np.arange(0, cells + step, step), cells)


def _between(sums: Array, rows: Array, columns: Array) -> Array:
    """How many are true in each rectangle between neighbouring edges."""
    return np.diff(np.diff(sums[np.ix_(rows, columns)], axis=0), axis=1)


def _fine(problem: Problem, rows: int, columns: int) -> Callable[[int, int], Array]:
    """(queries, keys) -> int8 [query tiles, key tiles] of the fine schedule; a guess where tensors decide."""
    definition = problem.definition
    mask = simplify(definition.mask)
    if not problem.masked:
        return lambda queries, keys: np.empty((0, 0), np.int8)
    if tensors(mask):
        return lambda queries, keys: _documents(queries, keys, rows, columns)
    made = build_schedule(mask, q_tile=rows, kv_tile=columns, params=definition.params)
    if made.tile_list:
        return lambda queries, keys: _documents(queries, keys, rows, columns)

    def tiles(queries: int, keys: int) -> Array:
        values = {item.name: max(1, keys // 4) if item.dtype == "int32" else 1.0 for item in definition.params}
        return enumeration.tiles(made, Call(queries, keys, 1, definition.heads.q, values, {}))

    return tiles


def _documents(queries: int, keys: int, rows: int, columns: int) -> Array:
    """Causal documents of `DOCUMENT` tokens."""
    first, start = np.arange(0, queries, rows)[:, None], np.arange(0, keys, columns)[None]
    last, end = np.minimum(first + rows, queries) - 1, np.minimum(start + columns, keys) - 1
    begin, begin_last = first // DOCUMENT * DOCUMENT, last // DOCUMENT * DOCUMENT
    some = (start <= last) & (end >= begin)
    full = (end <= first) & (start >= begin_last) & (start + columns <= keys)
    return np.where(full, enumeration.FULL, np.where(some, enumeration.PARTIAL, enumeration.EMPTY)).astype(np.int8)
