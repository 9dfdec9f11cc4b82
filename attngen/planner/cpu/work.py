"""The tiles that candidates visit, each a grain of keys long: those of a fine grid, put together.

A schedule for each tile size of the space would take longer than the rest of a compilation. A coarse tile is empty
where all fine ones in it are empty, full where all are full, else masked. The fine ones come from the mask itself at
short lengths, which is quicker than a schedule of it, and from a fine schedule at long ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr, tensors
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
MOST_PAIRS = LENGTHS[-1] ** 2
"""Of a query and a key, whose mask is looked at one by one."""
STRIP = 64
"""Queries whose pairs are looked at together."""
DOCUMENT = 256
"""Where the mask depends on tensors, whose values a compilation does not see: taken for causal documents so long."""


def every_tile(plan: CpuPlan, problem: Problem) -> Work:
    """The work of full attention: every query tile visits all key tiles."""
    heads = problem.definition.heads.kv if plan.pack > 1 else problem.definition.heads.q
    rows = -(-problem.query_rows // plan.block_q)
    return rectangle(rows, -(-problem.key_rows // plan.grain), heads * problem.batch)


def works(problem: Problem, plans: Iterable[CpuPlan]) -> tuple[tuple[int, WorkOf], ...]:
    """(length, work of a plan) at the problem's length, or at all of `LENGTHS`."""
    plans = tuple(plans)
    sizes = {(plan.block_q, plan.grain) for plan in plans}
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
    def of_tile(block_q: int, grain: int, times: int) -> Work:
        if not problem.masked:
            rows, whole, rest = -(-queries // block_q), keys // grain, float(keys % grain > 0)
            return Work((float(whole),) * rows, (rest,) * rows, times) if rest else rectangle(rows, whole, times)
        some, full = sums()
        at_rows = _edges(some.shape[0] - 1, block_q // fine[0])
        at_keys = _edges(some.shape[1] - 1, grain // fine[1])
        visited = np.count_nonzero(_between(some, at_rows, at_keys), 1)
        cells = (at_rows[1:] - at_rows[:-1])[:, None] * (at_keys[1:] - at_keys[:-1])
        whole = _between(full, at_rows, at_keys) == cells
        if keys % grain:  # the last tile ends beyond the keys
            whole[:, -1] = False
        unmasked = np.count_nonzero(whole, 1)
        return Work(tuple(unmasked.tolist()), tuple((visited - unmasked).tolist()), times)

    return lambda plan: of_tile(plan.block_q, plan.grain, problem.batch * (heads.kv if plan.pack > 1 else heads.q))


def _sums(cells: Array) -> Array:
    """How many are true above and left of each corner."""
    out = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), np.int32)
    np.cumsum(cells.cumsum(1, dtype=np.int32), 0, out=out[1:, 1:])
    return out


def _edges(cells: int, step: int) -> Array:
    return np.minimum(np.arange(0, cells + step, step), cells)


def _between(sums: Array, rows: Array, columns: Array) -> Array:
    """How many are true in each rectangle between neighbouring edges."""
    corners = sums[rows[:, None], columns]
    strips = corners[1:] - corners[:-1]
    out: Array = strips[:, 1:] - strips[:, :-1]
    return out


def _fine(problem: Problem, rows: int, columns: int) -> Callable[[int, int], Array]:
    """(queries, keys) -> int8 [query tiles, key tiles] of the fine grid; a guess where tensors decide."""
    definition = problem.definition
    mask = simplify(definition.mask)

    def tiles(queries: int, keys: int) -> Array:
        if tensors(mask):
            return _documents(queries, keys, rows, columns)
        values = {item.name: max(1, keys // 4) if item.dtype == "int32" else 1.0 for item in definition.params}
        if queries * keys <= MOST_PAIRS:
            return _dense(mask, queries, keys, values, rows, columns)
        made = build_schedule(mask, q_tile=rows, kv_tile=columns, params=definition.params)
        if made.tile_list:
            return _documents(queries, keys, rows, columns)
        return enumeration.tiles(made, Call(queries, keys, 1, definition.heads.q, values, {}))

    return tiles


def _dense(mask: Expr, queries: int, keys: int, values: Mapping[str, int | float], rows: int, columns: int) -> Array:
    """By the mask of every pair, of the first batch and head. Some queries at a time: arrays of all pairs would be new
    memory for every operation, which takes several times as long as the arithmetic."""
    first = np.zeros((1, 1), np.int64)
    step = max(rows, STRIP // rows * rows)
    strips = []
    for start in range(0, queries, step):
        index = {"b": first, "h": first, "q": np.arange(start, min(start + step, queries))[:, None]}
        index["kv"] = np.arange(keys)[None]
        keep = evaluate(mask, Env(index, {"B": 1, "M": queries, "N": keys}, values))
        # rows beyond the last are not there, keys beyond the last are masked
        padded = np.zeros((len(index["q"]), -(-keys // columns) * columns), np.bool_)
        padded[:, :keys] = keep
        some, full = _every(padded, rows)  # rows first: they lie whole in memory
        some, full = _every(some.T, columns)[0].T, _every(full.T, columns)[1].T
        strips.append(np.where(full, enumeration.FULL, some).astype(np.int8))
    return np.concatenate(strips)


def _every(cells: Array, step: int) -> tuple[Array, Array]:
    """(whether some are true, whether all are) of each ``step`` rows."""
    parts = [cells[i::step] for i in range(step)]
    some, full = parts[0].copy(), parts[0].copy()
    for part in parts[1:]:
        some[: len(part)] |= part
        full[: len(part)] &= part
    return some, full


def _documents(queries: int, keys: int, rows: int, columns: int) -> Array:
    """Causal documents of `DOCUMENT` tokens."""
    first, start = np.arange(0, queries, rows)[:, None], np.arange(0, keys, columns)[None]
    last, end = np.minimum(first + rows, queries) - 1, np.minimum(start + columns, keys) - 1
    begin, begin_last = first // DOCUMENT * DOCUMENT, last // DOCUMENT * DOCUMENT
    some = (start <= last) & (end >= begin)
    full = (end <= first) & (start >= begin_last) & (start + columns <= keys)
    return np.where(full, enumeration.FULL, np.where(some, enumeration.PARTIAL, enumeration.EMPTY)).astype(np.int8)
