"""Which key tiles a query tile visits, and which of those need the mask: `build_schedule`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import islpy as isl

from attngen.expr.build import FALSE, TRUE, all_of, const, make, substitute
from attngen.expr.op import Expr, Op, Param, leaves, walk
from attngen.tiling.approximate import Approximation, approximate
from attngen.tiling.arrange import loops, partition
from attngen.tiling.linear import tidy
from attngen.tiling.schedule import Bound, Interval, Schedule, Sweep
from attngen.tiling.sets import Axes, TileSets
from attngen.tiling.simplify import Prover, size

MOST_INTERVALS = 6
MOST_OPERATIONS = 40
MOST_LEVELS = 150


class _NoClosedForm(Exception):
    """The reason, for `Schedule.why_list`."""


@lru_cache(maxsize=1024)
def build_schedule(
    mask: Expr, *, q_tile: int, kv_tile: int, row_heads: bool = False, params: tuple[Param, ...] = ()
) -> Schedule:
    """The key tiles of a query tile, for all lengths at once.

    ``row_heads``: the rows of a tile are (query, head) pairs, so that h varies inside a tile. ``params``:
    those that the spec declares; they may have any value.
    """
    return _build(mask, Axes.forward(q_tile, kv_tile), row_heads=row_heads, inverse=False)


@lru_cache(maxsize=1024)
def build_inverse(mask: Expr, *, q_tile: int, kv_tile: int, params: tuple[Param, ...] = ()) -> Schedule:
    """The query tiles of a key tile, for the backward: the loop runs over query tiles, the leaf is ``kv_tile``.

    ``bound_check`` then means that partial tiles must test q < M.
    """
    return _build(mask, Axes.inverse(q_tile, kv_tile), row_heads=False, inverse=True)


def _build(mask: Expr, axes: Axes, *, row_heads: bool, inverse: bool) -> Schedule:
    q_tile, kv_tile = (axes.inner_size, axes.outer_size) if inverse else (axes.outer_size, axes.inner_size)
    why = ""
    if _depth(mask) > MOST_LEVELS:
        return Schedule(q_tile, kv_tile, mask, (), (), True, True, False, "the mask is nested too deeply")
    check = _bound_check(mask, axes, row_heads, inverse)
    try:
        for between, exact in _readings(mask, row_heads, inverse):
            try:
                found = _closed_form(between, exact, axes)
                return Schedule(q_tile, kv_tile, mask, found.bounds, found.sweeps, False, check, found.empty)
            except _NoClosedForm as problem:
                why = str(problem)
    except isl.Error:
        why = "its exact tile set is too large"
    return Schedule(q_tile, kv_tile, mask, (), (), True, check, False, why)


def _depth(root: Expr) -> int:
    depth: dict[Expr, int] = {}
    for node in walk(root):
        depth[node] = 1 + max((depth[arg] for arg in node.args), default=0)
    return depth[root]


def _readings(mask: Expr, row_heads: bool, inverse: bool) -> Iterator[tuple[Approximation, Expr]]:
    """The mask as it is, after a shorter reading of it where there is one; each with the exact over-approximation."""
    plain = approximate(mask, row_heads=row_heads, inverse=inverse)
    if not plain.opaque:
        stepped = approximate(mask, row_heads=row_heads, inverse=inverse, steps=True)
        if stepped.steps:
            yield stepped, plain.over
    yield plain, plain.over


@dataclass(frozen=True)
class _Found:
    empty: bool
    sweeps: tuple[Sweep, ...]
    bounds: tuple[Bound, ...]


def _closed_form(between: Approximation, exact: Expr, axes: Axes) -> _Found:
    if between.opaque:
        raise _NoClosedForm(between.opaque[0])
    facts = [*between.facts, *_facts_of_steps(between, axes)]
    reduced = {leaf: bound.reduce for leaf, bound in between.bounds.items()}
    sets = TileSets(axes, [between.over, between.under, exact], facts, reduced)
    prover = Prover(sets)
    visited = sets.touched(sets.points.set(between.over).coalesce())
    if visited.is_empty():
        return _Found(True, (), ())
    ends = _ends_of_steps(between, axes)
    if ends:
        needless = visited.intersect_params(_all_equal(sets, ends)) - sets.touched(sets.points.set(exact))
        if not needless.is_empty():
            raise _NoClosedForm("its tiles follow no short rule")
    any_loops = loops(visited, prover, exact=False)
    if any_loops is None:
        raise _NoClosedForm("its tiles follow no short rule")
    full_loops = loops(_covered(sets, between.under), prover, exact=True)
    masked, whole = partition(any_loops, full_loops or [], prover)
    masked, whole = _written_out(masked, ends, prover), _written_out(whole, ends, prover)
    if len(masked) + len(whole) > MOST_INTERVALS:
        raise _NoClosedForm("its tiles fall into too many loops")
    sides = [side for item in masked + whole for side in (item.lo, item.hi)]
    if any(size(side) > MOST_OPERATIONS for side in sides):
        raise _NoClosedForm("its loop bounds are too long to read")
    sweeps = []
    if whole:
        sweeps.append(Sweep(False, tuple(whole), "full tiles: every key is kept"))
    if masked:
        sweeps.append(Sweep(True, tuple(masked), _why(between, whole)))
    used = {leaf.value.name for side in sides for leaf in leaves(side, Op.NAMED)}
    bounds = tuple(bound for bound in between.bounds.values() if bound.name in used)
    return _Found(False, tuple(sweeps), bounds)


def _covered(sets: TileSets, under: Expr) -> isl.Set:
    """Tiles that one convex piece of the mask fills: shorter than all full tiles, and nearly all of them."""
    covered = sets.tiles.empty()
    for basic in sets.points.set(under).coalesce().get_basic_sets():
        covered = covered | sets.covered(isl.Set.from_basic_set(basic))
    return covered.coalesce()


def _ends_of_steps(between: Approximation, axes: Axes) -> dict[Expr, Expr]:
    """What the leaves for monotone values of the row stand for, in terms of the tile number."""
    return {leaf: tidy(_at_end(term, first, axes)) for leaf, (term, first) in between.steps.items()}


def _at_end(value: Expr, first: bool, axes: Axes) -> Expr:
    """A value of the row at the first or last row of the tile."""
    start = make(Op.MUL, const(axes.outer_size), axes.outer_tile)
    return substitute(value, {axes.outer: start if first else make(Op.ADD, start, const(axes.outer_size - 1))})


def _facts_of_steps(between: Approximation, axes: Axes) -> list[Expr]:
    """Quotients as isl likes them: n * leaf <= x < n * leaf + n says that leaf is x // n, without a division."""
    facts = []
    for leaf, (term, first) in between.steps.items():
        if term.op is Op.FLOORDIV and term.args[1].op is Op.CONST and term.args[1].value > 0:
            divided, multiple = _at_end(term.args[0], first, axes), make(Op.MUL, term.args[1], leaf)
            facts += [make(Op.LE, multiple, divided), make(Op.LT, divided, make(Op.ADD, multiple, term.args[1]))]
    return facts


def _all_equal(sets: TileSets, values: dict[Expr, Expr]) -> isl.Set:
    return sets.always.set(all_of([make(Op.EQ, leaf, value) for leaf, value in values.items()])).params()


def _written_out(intervals: list[Interval], values: dict[Expr, Expr], prover: Prover) -> list[Interval]:
    if not values:
        return intervals
    plain = [Interval(tidy(substitute(i.lo, values)), tidy(substitute(i.hi, values)), i.step) for i in intervals]
    return [short for item in plain if (short := prover.shorter(item)) is not None]


def _why(between: Approximation, whole: list[Interval]) -> str:
    if between.over is TRUE:
        return "tail: the last keys do not fill a tile"
    if not whole:
        return "every tile needs the mask"
    return "edge of the mask: tiles cut by it or by the end of the keys"


def _bound_check(mask: Expr, axes: Axes, row_heads: bool, inverse: bool) -> bool:
    """Could the mask keep a key beyond the end for a row that exists? Then partial tiles must test for it."""
    over = approximate(mask, row_heads=row_heads, inverse=inverse, segments=False).over
    if over is FALSE:
        return False
    try:
        sets = TileSets(axes, [over], [])
        beyond = make(Op.AND, make(Op.LT, axes.outer, axes.outer_length), make(Op.GE, axes.inner, axes.inner_length))
        return not (sets.points.set(make(Op.AND, over, beyond)) & sets.rows).is_empty()
    except isl.Error:
        return True
