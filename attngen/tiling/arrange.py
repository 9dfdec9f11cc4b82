"""Loops from sets of tiles: one interval a convex piece, merged, ordered, cut into full and masked parts."""

from __future__ import annotations

from itertools import permutations

import islpy as isl

from attngen.expr.build import const, make, substitute
from attngen.expr.op import Expr, Op, walk
from attngen.tiling.intervals import guarded, nest, read_piece
from attngen.tiling.schedule import Interval
from attngen.tiling.simplify import Prover, replaced, size

MOST_PIECES = 8


def loops(tiles: isl.Set, prover: Prover, *, exact: bool) -> list[Interval] | None:
    """The set as ordered disjoint intervals, or None where it has no short closed form.

    ``exact`` False lets a guard go that only matters when a parameter makes a piece empty (a window
    of no width): a few tiles are then visited in vain, and the text stays free of the condition.
    """
    pieces = _read(tiles, prover, exact)
    if pieces is None:
        return None
    return _disjoint(_merged(pieces, prover), prover)


def _read(tiles: isl.Set, prover: Prover, exact: bool) -> list[Interval] | None:
    known = prover.sets.known
    basics = tiles.gist_params(known).get_basic_sets()
    if len(basics) > MOST_PIECES:
        return None
    out = []
    for basic in basics:
        piece = read_piece(basic.remove_redundancies(), prover.sets.params)
        interval = piece.interval() if piece is not None else None
        if piece is None or interval is None:
            return None
        guards = [g for g in piece.guards if exact or not _degenerate(interval, g, prover)]
        # a guard whose failure leaves the interval empty anyway says nothing
        shorter = prover.shorter(_unequal_is_empty(guarded(interval, guards), piece.equal, prover))
        if shorter is not None:
            out.append(shorter)
    ends = dict.fromkeys(end for item in out for end in _flat(Op.MIN, item.hi) if end.op is not Op.WHERE)
    ends.update(dict.fromkeys(prover.usual_ends()))
    return [_without_choice(item, list(ends), prover) for item in out]


def _unequal_is_empty(interval: Interval, equal: list[tuple[Expr, Expr]], prover: Prover) -> Interval:
    """Where a == b is required: bounds that are empty otherwise, by writing a here and b there."""
    for a, b in equal:
        held = guarded(interval, [make(Op.EQ, a, b)])
        ways = [Interval(substitute(interval.lo, x), substitute(interval.hi, y), interval.step)
                for x in ({a: b}, {b: a}) for y in ({a: b}, {b: a})]  # fmt: skip
        interval = next((way for way in ways if prover.tiles(way).is_equal(prover.tiles(held))), held)
    return interval


def _without_choice(interval: Interval, ends: list[Expr], prover: Prover) -> Interval:
    """A guard that is really one more upper bound, as another piece has it."""
    for node in walk(interval.hi):
        if node.op is Op.WHERE:
            for end in ends:
                hi = replaced(interval.hi, node, make(Op.MIN, node.args[1], end))
                candidate = Interval(interval.lo, hi, interval.step)
                if prover.same(interval, candidate):
                    return prover.shorter(candidate) or candidate
    return interval


def _degenerate(interval: Interval, guard: Expr, prover: Prover) -> bool:
    """Does a guard only matter for parameters below 1, or for the data of rows, and then for a few tiles only?"""
    sets, axes = prover.sets, prover.sets.axes
    fails = sets.always.set(make(Op.NOT, guard)).params()
    of_rows = any(leaf in sets.of_rows for leaf in walk(guard))
    if not of_rows and not (sets.usual & fails).is_empty():
        return False
    few = (axes.outer_size + axes.inner_size) // axes.inner_size + 1
    visited = prover.tiles(interval).intersect_params(fails)
    long = prover.tiles(Interval(make(Op.ADD, interval.lo, const(few)), interval.hi)).intersect_params(fails)
    outside = (visited & prover.below(const(0))) | (visited & prover.starting(prover.usual_ends()[1]))
    return bool(long.is_empty() and outside.is_empty())


def _merged(pieces: list[Interval], prover: Prover) -> list[Interval]:
    """Neighbours joined wherever their union is one interval with a shorter text."""
    pieces = list(pieces)
    changed = True
    while changed:
        changed = False
        for a, b in [(a, b) for a in pieces for b in pieces if a is not b]:
            joined = _join(a, b, prover)
            if joined is not None:
                pieces = [p for p in pieces if p is not a and p is not b] + [joined]
                changed = True
                break
    return pieces


def _join(a: Interval, b: Interval, prover: Prover) -> Interval | None:
    if a.step != 1 or b.step != 1:
        return None
    whole = prover.tiles(a) | prover.tiles(b)
    joined = Interval(_spread(Op.MIN, a.lo, b.lo), _spread(Op.MAX, a.hi, b.hi))
    if not prover.tiles(joined).is_equal(whole):
        return None
    short = prover.shorter(joined)
    if short is None or size(short.lo, short.hi) > size(a.lo, a.hi, b.lo, b.hi) + 1:
        return None
    return short


def _spread(op: Op, a: Expr, b: Expr) -> Expr:
    """min or max of two bounds, with what they share taken out: max(min(n, x), min(n, y)) = min(n, max(x, y))."""
    if a is b:
        return a
    inner = Op.MIN if op is Op.MAX else Op.MAX
    left, right = _flat(inner, a), _flat(inner, b)
    common = [item for item in left if item in right]
    if not common:
        return make(op, a, b)
    rest = [[item for item in side if item not in common] for side in (left, right)]
    if not all(rest):
        return nest(inner, common)
    return nest(inner, [*common, make(op, nest(inner, rest[0]), nest(inner, rest[1]))])


def _flat(op: Op, root: Expr) -> list[Expr]:
    if root.op is not op:
        return [root]
    return [leaf for arg in root.args for leaf in _flat(op, arg)]


def _disjoint(pieces: list[Interval], prover: Prover) -> list[Interval] | None:
    """An order of the pieces in which cutting each at its predecessors loses nothing."""
    if len(pieces) <= 1:
        return pieces
    target = prover.union(pieces)
    if len(pieces) > 4:
        return None
    for order in permutations(pieces):
        for cut in (_cut_starts(list(order)), _cut_ends(list(order))):
            out = [short for item in cut if (short := prover.shorter(item)) is not None]
            if prover.union(out).is_equal(target):
                return out
    return None


def _cut_starts(order: list[Interval]) -> list[Interval]:
    """Each piece begins where those before it end."""
    out: list[Interval] = []
    for item in order:
        if item.step != 1 and out:
            return []
        lo = item.lo
        for before in out:
            lo = make(Op.MAX, lo, _without_shared(before.hi, item.hi))
        out.append(Interval(lo, item.hi, item.step))
    return out


def _cut_ends(order: list[Interval]) -> list[Interval]:
    """Each piece ends where those after it begin."""
    out: list[Interval] = []
    for i, item in enumerate(order):
        hi = item.hi
        for after in order[i + 1 :]:
            hi = make(Op.MIN, hi, after.lo)
        out.append(Interval(item.lo, hi, item.step))
    return out


def _without_shared(end: Expr, own: Expr) -> Expr:
    """``end`` as a start for an interval that itself ends at ``own``: what both are cut by need not be said twice."""
    shared = _flat(Op.MIN, own)
    rest = [item for item in _flat(Op.MIN, end) if item not in shared]
    return nest(Op.MIN, rest) if rest else end


def partition(
    any_loops: list[Interval], full_loops: list[Interval], prover: Prover
) -> tuple[list[Interval], list[Interval]]:
    """(masked, full): every visited tile in exactly one of them, full ones within ``full_loops``."""
    homes: dict[int, list[Interval]] = {}
    for full in full_loops:
        home = _home(full, any_loops, prover)
        if home is not None:
            homes.setdefault(home, []).append(full)
    masked: list[Interval] = []
    whole: list[Interval] = []
    for i, visited in enumerate(any_loops):
        at = visited.lo
        for full in homes.get(i, []):
            start = _clamped(full.lo, at, visited.hi, prover)
            end = _clamped(full.hi, start, visited.hi, prover)
            _append(masked, Interval(at, start), prover)
            _append(whole, Interval(start, full.hi if prover.at_most(full.hi, visited.hi) else end), prover)
            at = end
        _append(masked, Interval(at, visited.hi, visited.step), prover)
    return masked, whole


def _append(out: list[Interval], interval: Interval, prover: Prover) -> None:
    short = prover.shorter(interval)
    if short is not None:
        out.append(short)


def _home(full: Interval, any_loops: list[Interval], prover: Prover) -> int | None:
    """The visited interval that a full one belongs to."""
    tiles = prover.tiles(full)
    plain = [i for i, visited in enumerate(any_loops) if visited.step == 1]
    for i in plain:
        if tiles.is_subset(prover.tiles(any_loops[i])):
            return i
    touching = [i for i in plain if not (tiles & prover.tiles(any_loops[i])).is_empty()]
    return touching[-1] if touching else None


def _clamped(value: Expr, low: Expr, high: Expr, prover: Prover) -> Expr:
    """``value`` moved into [low, high], saying only what is not always so."""
    if not prover.at_most(low, value):
        value = low if prover.at_most(value, low) else make(Op.MAX, value, low)
    return value if prover.at_most(value, high) else make(Op.MIN, value, high)
