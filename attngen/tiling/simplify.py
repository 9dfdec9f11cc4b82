"""Shorter text for loop bounds, by proof: a part is dropped when the set of tiles stays the same."""

from __future__ import annotations

import islpy as isl

from attngen.expr.build import const, make, rebuild
from attngen.expr.op import LEAVES, Expr, Op, walk
from attngen.tiling.linear import floor_divided, linear, tidy
from attngen.tiling.schedule import Interval
from attngen.tiling.sets import TileSets


def size(*roots: Expr) -> int:
    """Number of operations a person would read (shared ones once)."""
    return sum(node.op not in LEAVES for node in walk(*roots))


class Prover:
    """Sets of tiles of intervals, and questions about them, under what always holds."""

    def __init__(self, sets: TileSets) -> None:
        self.sets = sets
        self._tile = sets.axes.inner_tile
        self._from: dict[Expr, isl.Set] = {}
        self._below: dict[Expr, isl.Set] = {}

    # half lines; written without divisions wherever possible: isl is then an order of magnitude faster

    def starting(self, bound: Expr) -> isl.Set:
        """{j : j >= bound}"""
        if bound not in self._from:
            self._from[bound] = self._half(bound, upward=True)
        return self._from[bound]

    def below(self, bound: Expr) -> isl.Set:
        """{j : j < bound}"""
        if bound not in self._below:
            self._below[bound] = self._half(bound, upward=False)
        return self._below[bound]

    def _half(self, bound: Expr, *, upward: bool) -> isl.Set:
        side = self.starting if upward else self.below
        match bound.op:
            case Op.MIN | Op.MAX:
                a, b = side(bound.args[0]), side(bound.args[1])
                return a & b if (bound.op is Op.MAX) is upward else a | b
            case Op.WHERE:
                holds = self.sets.tiles.set(bound.args[0])
                fails = self.sets.tiles.set(make(Op.NOT, bound.args[0]))
                return (holds & side(bound.args[1])) | (fails & side(bound.args[2]))
        return self.sets.tiles.set(self._comparison(bound, upward)).intersect_params(self.sets.known)

    def _comparison(self, bound: Expr, upward: bool) -> Expr:
        total = linear(bound)
        quotients = [t for t, c in total.terms.items() if t.op is Op.FLOORDIV and c == 1 and t.args[1].value > 0]
        if len(quotients) != 1:
            return make(Op.GE if upward else Op.LT, self._tile, bound)
        top, divisor = linear(quotients[0].args[0]), quotients[0].args[1].value
        rest = total.plus(linear(quotients[0]), -1)
        tile = linear(self._tile).plus(rest, -1).times(divisor)
        if upward:  # j - rest >= floor(top / d)  <=>  d * (j - rest) > top - d
            return make(Op.GT, tile.shifted(divisor).expr(), top.expr())
        return make(Op.LE, tile.shifted(divisor).expr(), top.expr())  # j - rest + 1 <= floor(top / d)

    def usual_ends(self) -> list[Expr]:
        """Ends that any mask may have: the keys, in whole tiles and in all."""
        length, step = linear(self.sets.axes.inner_length), self.sets.axes.inner_size
        return [floor_divided(length, step), floor_divided(length.shifted(step - 1), step)]

    # questions

    def tiles(self, interval: Interval) -> isl.Set:
        out = self.starting(interval.lo) & self.below(interval.hi)
        if interval.step > 1:
            ahead = make(Op.MOD, make(Op.SUB, self._tile, interval.lo), const(interval.step))
            out = out & self.sets.tiles.set(make(Op.EQ, ahead, const(0)))
        return out

    def union(self, intervals: list[Interval]) -> isl.Set:
        out = self.sets.tiles.empty()
        for interval in intervals:
            out = out | self.tiles(interval)
        return out

    def at_most(self, a: Expr, b: Expr) -> bool:
        """Is a <= b always?"""
        return bool((self.starting(b) & self.below(a)).is_empty())

    def same(self, old: Interval, new: Interval) -> bool:
        """Do two intervals hold the same tiles? They differ in one side."""
        if old.step > 1:
            return bool(self.tiles(old).is_equal(self.tiles(new)))
        if old.lo is new.lo:
            start = self.starting(old.lo)
            return bool(
                (start & self.below(new.hi) & self.starting(old.hi)).is_empty()
                and (start & self.below(old.hi) & self.starting(new.hi)).is_empty()
            )
        end = self.below(old.hi)
        return bool(
            (end & self.starting(new.lo) & self.below(old.lo)).is_empty()
            and (end & self.starting(old.lo) & self.below(new.lo)).is_empty()
        )

    def shorter(self, interval: Interval) -> Interval | None:
        """The same tiles with as few operations as one-at-a-time removal finds; None when there are none."""
        if self.tiles(interval).is_empty():
            return None
        better = True
        while better:
            better = False
            for candidate in _candidates(interval):
                if self.same(interval, candidate):
                    interval, better = candidate, True
                    break
        return Interval(tidy(interval.lo), tidy(interval.hi), interval.step)


def _candidates(interval: Interval) -> list[Interval]:
    """The interval with one min, max or choice replaced by one of its operands."""
    out = []
    for side in ("lo", "hi"):
        root = interval.lo if side == "lo" else interval.hi
        for node in reversed(list(walk(root))):
            if node.op not in (Op.MIN, Op.MAX, Op.WHERE):
                continue
            for operand in node.args[-2:]:
                shorter = replaced(root, node, operand)
                pair = (shorter, interval.hi) if side == "lo" else (interval.lo, shorter)
                out.append(Interval(*pair, interval.step))
    return out


def replaced(root: Expr, old: Expr, new: Expr) -> Expr:
    done = {old: new}
    for node in walk(root):
        if node not in done:
            done[node] = rebuild(node, tuple(done[arg] for arg in node.args))
    return done[root]
