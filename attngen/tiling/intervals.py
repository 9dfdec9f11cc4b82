"""From a convex set of tiles to one loop: its first tile, its end, its step.

A basic set of isl over one dimension is a conjunction of linear constraints. Each gives a lower
bound, an upper bound, a residue (a stepped loop), or a guard that does not mention the tile.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import islpy as isl

from attngen.expr.build import all_of, const, make
from attngen.expr.op import Expr, Op
from attngen.tiling.linear import Linear, floor_divided
from attngen.tiling.schedule import Interval

ZERO = const(0)


@dataclass
class Piece:
    """One loop in the making: j >= every low, j < every high, if every guard holds, j = residue modulo step."""

    lows: list[Expr] = field(default_factory=list)
    highs: list[Expr] = field(default_factory=list)
    guards: list[Expr] = field(default_factory=list)
    equal: list[tuple[Expr, Expr]] = field(default_factory=list)  # guards of the form: one leaf is another
    step: int = 1
    residue: Expr = ZERO

    def interval(self) -> Interval | None:
        """The loop without its guards; None where it has no end."""
        if not self.highs:
            return None
        lo, hi = nest(Op.MAX, self.lows or [ZERO]), nest(Op.MIN, self.highs)
        if self.step > 1:
            # the first tile at or after lo with the right residue
            ahead = make(Op.MOD, make(Op.SUB, self.residue, lo), const(self.step))
            lo = (
                const((self.residue.value - lo.value) % self.step + lo.value)
                if _constants(self.residue, lo)
                else (make(Op.ADD, lo, ahead))
            )
        return Interval(lo, hi, self.step)


def _constants(*items: Expr) -> bool:
    return all(item.op is Op.CONST for item in items)


def nest(op: Op, items: list[Expr]) -> Expr:
    """min or max of all, constants first so that the text reads max(0, ...)."""
    unique = sorted(dict.fromkeys(items), key=lambda item: item.op is not Op.CONST)
    out = unique[0]
    for item in unique[1:]:
        out = make(op, out, item)
    return out


def guarded(interval: Interval, guards: list[Expr]) -> Interval:
    """An interval that is empty unless the guards hold."""
    if not guards:
        return interval
    hi = make(Op.WHERE, all_of(guards), interval.hi, interval.lo)
    return Interval(interval.lo, hi, interval.step)


class _Reader:
    """Reads one basic set whose parameters are ``params`` and whose only dimension is the tile number."""

    def __init__(self, basic: isl.BasicSet, params: tuple[Expr, ...]) -> None:
        self.basic = basic
        self.params = params
        self.count = basic.dim(isl.dim_type.div)
        self.tile_divs: dict[int, tuple[int, Linear, int] | None] = {}  # div -> (factor of j, rest, divisor)
        self.param_divs: dict[int, Expr] = {}
        self.ok = True
        for i in range(self.count):
            self._read_div(i)

    def _read_div(self, i: int) -> None:
        div = self.basic.get_div(i)
        if div.is_nan():
            self.tile_divs[i] = None
            return
        scale = div.get_denominator_val()

        def whole(value: isl.Val) -> int:
            return int(value.mul(scale).to_python())

        rest = Linear({}, whole(div.get_constant_val()))
        for k, leaf in enumerate(self.params):
            factor = whole(div.get_coefficient_val(isl.dim_type.param, k))
            if factor:
                rest.terms[leaf] = factor
        own = whole(div.get_coefficient_val(isl.dim_type.in_, 0))
        for k in range(i):
            factor = whole(div.get_coefficient_val(isl.dim_type.div, k))
            if factor and k in self.tile_divs:
                self.tile_divs[i] = None
                return
            if factor:
                rest.terms[self.param_divs[k]] = factor
        divisor = int(scale.to_python())
        if own:
            self.tile_divs[i] = (own, rest, divisor)
        else:
            self.param_divs[i] = floor_divided(rest, divisor)

    def piece(self) -> Piece | None:
        out = Piece()
        for constraint in self.basic.get_constraints():
            if not self._add(constraint, out):
                return None
        return out

    def _add(self, constraint: isl.Constraint, out: Piece) -> bool:
        own = int(constraint.get_coefficient_val(isl.dim_type.set, 0).to_python())
        rest = Linear({}, int(constraint.get_constant_val().to_python()))
        for k, leaf in enumerate(self.params):
            factor = int(constraint.get_coefficient_val(isl.dim_type.param, k).to_python())
            if factor:
                rest.terms[leaf] = factor
        through: list[tuple[int, int]] = []
        for k in range(self.count):
            factor = int(constraint.get_coefficient_val(isl.dim_type.div, k).to_python())
            if factor and k in self.tile_divs:
                through.append((k, factor))
            elif factor:
                rest = rest.plus(Linear({self.param_divs[k]: 1}, 0), factor)
        if constraint.is_equality():
            return self._equality(own, rest, through, out)
        if not through:
            _bound(own, rest, out)
            return True
        if own or len(through) > 1:
            return False
        div = self.tile_divs[through[0][0]]
        if div is None or div[0] < 0:
            return False
        return _bound_through(through[0][1], rest, div, out)

    def _equality(self, own: int, rest: Linear, through: list[tuple[int, int]], out: Piece) -> bool:
        if not through and not own and sorted(rest.terms.values()) == [-1, 1] and not rest.constant:
            a, b = rest.terms
            out.equal.append((a, b))
            return True
        if not through:
            _bound(own, rest, out)
            _bound(-own, rest.times(-1), out)
            return True
        if len(through) > 1 or abs(own) != 1 or out.step > 1:
            return False
        step = abs(through[0][1])
        residue = rest.times(-own)
        residue = Linear({t: c for t, c in residue.terms.items() if c % step}, residue.constant % step)
        out.step, out.residue = step, residue.expr()
        return True


def _bound(own: int, rest: Linear, out: Piece) -> None:
    """own * j + rest >= 0."""
    if own > 0:
        out.lows.append(floor_divided(rest.times(-1).shifted(own - 1), own))
    elif own < 0:
        out.highs.append(floor_divided(rest.shifted(-own), -own))
    else:
        out.guards.append(_nonnegative(rest))


def _nonnegative(value: Linear) -> Expr:
    left = Linear({t: c for t, c in value.terms.items() if c > 0}, 0)
    right = Linear({t: -c for t, c in value.terms.items() if c < 0}, -value.constant)
    if not left.terms:
        return make(Op.LE, right.shifted(value.constant).expr(), const(value.constant))
    return make(Op.GE, left.expr(), right.expr())


def _bound_through(factor: int, rest: Linear, div: tuple[int, Linear, int], out: Piece) -> bool:
    """factor * floor((a*j + e) / m) + rest >= 0, with a > 0: floor is monotone, so it inverts."""
    a, e, m = div
    if factor > 0:
        least = Linear({floor_divided(rest.times(-1).shifted(factor - 1), factor): m}, 0)
        _bound(a, e.plus(_flat(least), -1), out)
    else:
        most = Linear({floor_divided(rest, -factor): m}, 0)
        _bound(-a, _flat(most).shifted(m - 1).plus(e, -1), out)
    return True


def _flat(value: Linear) -> Linear:
    from attngen.tiling.linear import linear

    return linear(value.expr())


def read_piece(basic: isl.BasicSet, params: tuple[Expr, ...]) -> Piece | None:
    """The loop of a convex set of tiles, or None where it is not one loop."""
    return _Reader(basic, params).piece()
