"""Sums with integer factors: read from an expression, and written back as a person would order them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import gcd

from attngen.expr.build import const, make, rewrite
from attngen.expr.linear import as_sum
from attngen.expr.op import Expr, Kind, Op


@dataclass
class Linear:
    """constant + sum of factor * term. Terms are whatever is not itself a sum or a multiple."""

    terms: dict[Expr, int] = field(default_factory=dict)
    constant: int = 0

    def plus(self, other: Linear, factor: int = 1) -> Linear:
        terms = dict(self.terms)
        for term, count in other.terms.items():
            terms[term] = terms.get(term, 0) + factor * count
        return Linear({t: c for t, c in terms.items() if c}, self.constant + factor * other.constant)

    def times(self, factor: int) -> Linear:
        return Linear().plus(self, factor)

    def shifted(self, amount: int) -> Linear:
        return Linear(dict(self.terms), self.constant + amount)

    def expr(self) -> Expr:
        """Positive terms first, then negative ones, then the constant."""
        out: Expr | None = None
        for term, factor in sorted(self.terms.items(), key=lambda item: item[1] < 0):
            piece = term if abs(factor) == 1 else make(Op.MUL, const(abs(factor)), term)
            if out is None:
                if factor < 0 and self.constant > 0:
                    return make(Op.SUB, const(self.constant), self.times(-1).shifted(self.constant).expr())
                out = piece if factor > 0 else make(Op.NEG, piece)
            else:
                out = make(Op.ADD if factor > 0 else Op.SUB, out, piece)
        if out is None:
            return const(self.constant)
        if self.constant:
            out = make(Op.ADD if self.constant > 0 else Op.SUB, out, const(abs(self.constant)))
        return out


def linear(root: Expr) -> Linear:
    """The integer expression as a sum."""
    total = as_sum(root)
    return Linear(dict(total.terms), total.constant)


def floor_divided(value: Linear, divisor: int) -> Expr:
    """value // divisor, with the whole multiples taken out when nothing else is left over."""
    common = gcd(divisor, *value.terms.values())
    if common > 1:
        # floor((g*x + c) / (g*d)) = floor((x + c//g) / d): the remainder of c never reaches the next multiple
        value = Linear({t: c // common for t, c in value.terms.items()}, value.constant // common)
        divisor //= common
    if divisor == 1:
        return value.expr()
    if not value.terms:
        return const(value.constant // divisor)
    return make(Op.FLOORDIV, value.expr(), const(divisor))


def tidy(root: Expr) -> Expr:
    """Sums collected and quotients reduced, in the order a person would write them."""

    def rule(node: Expr) -> Expr:
        if node.kind is not Kind.INT:
            return node
        if node.op is Op.FLOORDIV and node.args[1].op is Op.CONST and node.args[1].value > 0:
            return floor_divided(linear(node.args[0]), node.args[1].value)
        if node.op in (Op.ADD, Op.SUB, Op.NEG, Op.MUL):
            return linear(node).expr()
        if node.op in (Op.MIN, Op.MAX):
            return _flat_extreme(node)
        return node

    return rewrite(root, rule)


def _flat_extreme(node: Expr) -> Expr:
    """max(max(x, 0), x) = max(0, x)."""

    def items(part: Expr) -> list[Expr]:
        return [leaf for arg in part.args for leaf in items(arg)] if part.op is node.op else [part]

    unique = list(dict.fromkeys(items(node)))
    numbers = [item.value for item in unique if item.op is Op.CONST]
    rest = [item for item in unique if item.op is not Op.CONST]
    out = [const(max(numbers) if node.op is Op.MAX else min(numbers))] if numbers else []
    result, *others = out + rest
    for item in others:
        result = make(node.op, result, item)
    return result
