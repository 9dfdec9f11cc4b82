"""What a mask can be over boxes of (b, h, q, kv): interval arithmetic in NumPy, thousands of boxes at a time.

A condition has two arrays, "true everywhere in the box" and "true somewhere in it"; a number has its
least and greatest value. The bounds are always right, and exact enough that halving a box a few
times decides it; where they are not, `attngen.tiling.tile_list` looks at single pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.expr.evaluate import RULE
from attngen.expr.op import FLOAT_FUNCTIONS, Expr, Kind, Op, TensorRef, walk
from attngen.tiling.range_table import RangeTable

Array = npt.NDArray[Any]
Span = tuple[Array, Array]

_INT = np.iinfo(np.int32)
_DTYPE = {Kind.BOOL: np.bool_, Kind.INT: np.int64, Kind.FLOAT: np.float64}


@dataclass
class Boxes:
    """Index spans of the boxes, and what the other leaves stand for. Range tables are kept between calls."""

    lengths: Mapping[str, int]
    params: Mapping[str, int | float]
    tensors: Mapping[TensorRef, Array]
    tables: dict[tuple[TensorRef, tuple[bool, ...]], RangeTable] = field(default_factory=dict)

    def evaluate(self, expr: Expr, index: Mapping[str, Span]) -> Span:
        """(least, greatest) in every box; for a condition (everywhere, somewhere)."""
        values: dict[Expr, Span] = {}
        varies: dict[Expr, bool] = {}
        with np.errstate(all="ignore"):
            for node in walk(expr):
                varies[node] = any(varies[arg] for arg in node.args)
                if node.op is Op.INDEX:
                    low, high = index[node.value]
                    varies[node] = low is not high
                    values[node] = low, high
                elif node.op is Op.LOAD:
                    values[node] = self._load(node, values, varies)
                elif not node.args:
                    values[node] = self._leaf(node)
                elif not varies[node]:
                    # the operands are single values: so is the result
                    one = np.asarray(RULE[node.op](*(values[arg][0] for arg in node.args)))
                    one = one.astype(_DTYPE[node.kind], copy=False)
                    values[node] = one, one
                else:
                    operands = [values[arg] for arg in node.args]
                    values[node] = _with_nan(node, operands, SPAN[node.op](*operands))
        return values[expr]

    def _leaf(self, node: Expr) -> Span:
        if node.op is Op.CONST:
            one = np.asarray(node.value)
        elif node.op is Op.LENGTH:
            one = np.asarray(self.lengths[node.value])
        elif node.op is Op.PARAM:
            one = np.asarray(self.params[node.value.name])
        elif node.op is Op.SIZE:
            one = np.asarray(self.tensors[node.value[0]].shape[node.value[1]])
        else:
            raise AssertionError(f"{node.op} has no place in a mask")
        one = one.astype(_DTYPE[node.kind], copy=False)
        return one, one

    def _load(self, node: Expr, values: Mapping[Expr, Span], varies: Mapping[Expr, bool]) -> Span:
        ranged = tuple(varies[arg] for arg in node.args)
        key = (node.value, ranged)
        if key not in self.tables:
            self.tables[key] = RangeTable(self.tensors[node.value], ranged)
        low, high = self.tables[key].query([values[arg] for arg in node.args])
        dtype = _DTYPE[node.kind]
        return low.astype(dtype, copy=False), high.astype(dtype, copy=False)


def _with_nan(node: Expr, operands: list[Span], span: Span) -> Span:
    """(-inf, inf) also stands for "perhaps not a number", which spreads, and compares as nothing else does."""
    floats = [span for span in operands if span[0].dtype.kind == "f"]
    if not floats or node.op is Op.WHERE or node.kind is Kind.INT:
        return span
    unknown = np.zeros((), np.bool_)
    for low, high in floats:
        unknown = unknown | ((low == -np.inf) & (high == np.inf))
    low, high = span
    if node.kind is Kind.BOOL:
        return low & ~unknown, high | unknown
    unknown = unknown | np.isnan(low) | np.isnan(high)
    return np.where(unknown, -np.inf, low), np.where(unknown, np.inf, high)


def _corners(op: Callable[[Array, Array], Array], a: Span, b: Span) -> Span:
    """The extremes of an operation that is monotone in each operand."""
    all_four = [op(x, y) for x in a for y in b]
    low, high = all_four[0], all_four[0]
    for other in all_four[1:]:
        low, high = np.minimum(low, other), np.maximum(high, other)
    return low, high


def _anything(like: Array) -> Span:
    if like.dtype.kind == "f":
        return np.full(like.shape, -np.inf), np.full(like.shape, np.inf)
    return np.full(like.shape, _INT.min, np.int64), np.full(like.shape, _INT.max, np.int64)


def _choose(condition: Array, yes: Span, no: Span) -> Span:
    return np.where(condition, yes[0], no[0]), np.where(condition, yes[1], no[1])


def _divide(a: Span, b: Span) -> Span:
    return _quotient(np.divide, a, b)


def _floor_divide(a: Span, b: Span) -> Span:
    return _quotient(np.floor_divide, a, b)


def _quotient(op: Callable[[Array, Array], Array], a: Span, b: Span) -> Span:
    through_zero = (b[0] <= 0) & (b[1] >= 0)
    if not through_zero.any():
        return _corners(op, a, b)
    safe = np.where(through_zero, 1, b[0]), np.where(through_zero, 1, b[1])
    inside = _corners(op, a, safe)
    return _choose(np.broadcast_to(through_zero, inside[0].shape), _anything(inside[0]), inside)


def _modulo(a: Span, b: Span) -> Span:
    """Within one period of one divisor the remainder is a span; otherwise it is anything below the divisor."""
    if a[0].dtype.kind == "f":
        # the remainder of an infinity, or by zero, is not a number
        odd = np.isinf(a[0]) | np.isinf(a[1]) | ((b[0] <= 0) & (b[1] >= 0))
        wide = np.minimum(b[0], 0.0), np.maximum(b[1], 0.0)
        return _choose(odd, (np.asarray(-np.inf), np.asarray(np.inf)), wide)
    divisor = np.where(b[0] == 0, 1, b[0])
    one_period = (b[0] == b[1]) & (b[0] != 0) & (a[0] // divisor == a[1] // divisor)
    remainders = a[0] % divisor, a[1] % divisor
    wide = np.minimum(b[0] + 1, 0), np.maximum(b[1] - 1, 0)
    maybe_zero = (b[0] <= 0) & (b[1] >= 0)
    wide = _choose(maybe_zero, _anything(np.broadcast_to(wide[0], maybe_zero.shape)), wide)
    return _choose(one_period, remainders, wide)


def _absolute(a: Span) -> Span:
    ends = np.abs(a[0]), np.abs(a[1])
    return np.where((a[0] <= 0) & (a[1] >= 0), 0, np.minimum(*ends)), np.maximum(*ends)


def _equal(a: Span, b: Span) -> Span:
    same = (a[0] == a[1]) & (b[0] == b[1]) & (a[0] == b[0])
    return same, (a[0] <= b[1]) & (b[0] <= a[1])


def _not(a: Span) -> Span:
    return ~a[1], ~a[0]


def _exclusive(a: Span, b: Span) -> Span:
    known = (a[0] == a[1]) & (b[0] == b[1])
    differ = a[0] ^ b[0]
    return known & differ, ~known | differ


def _where(c: Span, a: Span, b: Span) -> Span:
    low = np.where(c[0], a[0], np.where(c[1], np.minimum(a[0], b[0]), b[0]))
    high = np.where(c[0], a[1], np.where(c[1], np.maximum(a[1], b[1]), b[1]))
    if low.dtype.kind != "f":
        return low, high
    mixed = c[1] & ~c[0] & np.isnan(low)  # one side is not a number, the other may be
    return np.where(mixed, -np.inf, low), np.where(mixed, np.inf, high)


def _bits(op: Callable[[Array, Array], Array], a: Span, b: Span, wide: Span) -> Span:
    exact = op(a[0], b[0])
    return _choose((a[0] == a[1]) & (b[0] == b[1]), (exact, exact), wide)


def _bit_and(a: Span, b: Span) -> Span:
    top = np.where(a[0] >= 0, np.where(b[0] >= 0, np.minimum(a[1], b[1]), a[1]), np.where(b[0] >= 0, b[1], _INT.max))
    low = np.where((a[0] >= 0) | (b[0] >= 0), 0, _INT.min)
    return _bits(np.bitwise_and, a, b, (low, top))


def _bit_or(a: Span, b: Span) -> Span:
    return _bits(np.bitwise_or, a, b, _below_power_of_two(a, b))


def _bit_xor(a: Span, b: Span) -> Span:
    return _bits(np.bitwise_xor, a, b, _below_power_of_two(a, b))


def _below_power_of_two(a: Span, b: Span) -> Span:
    top = np.maximum(np.maximum(a[1], b[1]), 0)
    bits = np.ceil(np.log2(top + 1.0)).astype(np.int64)
    small = (a[0] >= 0) & (b[0] >= 0)
    return np.where(small, 0, _INT.min), np.where(small, (np.int64(1) << bits) - 1, _INT.max)


def _shift_left(a: Span, b: Span) -> Span:
    known = (b[0] == b[1]) & (b[0] >= 0) & (b[0] < 31)
    by = np.clip(b[0], 0, 31)
    shifted = a[0] << by, a[1] << by
    return _choose(known, shifted, _anything(shifted[0]))


def _shift_right(a: Span, b: Span) -> Span:
    by = np.clip(b[0], 0, 63), np.clip(b[1], 0, 63)
    return _corners(np.right_shift, a, by)


def _to_int(a: Span) -> Span:
    if a[0].dtype.kind != "f":
        return a[0].astype(np.int64), a[1].astype(np.int64)
    ends = [np.clip(np.nan_to_num(np.trunc(end), posinf=_INT.max, neginf=_INT.min), _INT.min, _INT.max) for end in a]
    return ends[0].astype(np.int64), ends[1].astype(np.int64)


def _rising(op: Op) -> Callable[[Span], Span]:
    return lambda a: _widened(RULE[op](a[0]), RULE[op](a[1]))


def _falling(op: Op) -> Callable[[Span], Span]:
    return lambda a: _widened(RULE[op](a[1]), RULE[op](a[0]))


def _widened(low: Array, high: Array) -> Span:
    """One unit in the last place outwards: library functions are monotone only up to rounding."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    return np.nextafter(low, -np.inf), np.nextafter(high, np.inf)


def _wave(op: Op, low: float, high: float) -> Callable[[Span], Span]:
    def span(a: Span) -> Span:
        one = _widened(RULE[op](a[0]), RULE[op](a[0]))
        wide = _choose(np.isinf(a[0]) | np.isinf(a[1]), _anything(a[0]), (np.asarray(low), np.asarray(high)))
        return _choose(a[0] == a[1], one, wide)

    return span


SPAN: dict[Op, Callable[..., Span]] = {
    Op.ADD: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    Op.SUB: lambda a, b: (a[0] - b[1], a[1] - b[0]),
    Op.MUL: lambda a, b: _corners(np.multiply, a, b),
    Op.DIV: _divide,
    Op.FLOORDIV: _floor_divide,
    Op.MOD: _modulo,
    Op.NEG: lambda a: (-a[1], -a[0]),
    Op.ABS: _absolute,
    Op.MIN: lambda a, b: (np.minimum(a[0], b[0]), np.minimum(a[1], b[1])),
    Op.MAX: lambda a, b: (np.maximum(a[0], b[0]), np.maximum(a[1], b[1])),
    Op.LT: lambda a, b: (a[1] < b[0], a[0] < b[1]),
    Op.LE: lambda a, b: (a[1] <= b[0], a[0] <= b[1]),
    Op.GT: lambda a, b: (a[0] > b[1], a[1] > b[0]),
    Op.GE: lambda a, b: (a[0] >= b[1], a[1] >= b[0]),
    Op.EQ: _equal,
    Op.NE: lambda a, b: _not(_equal(a, b)),
    Op.AND: lambda a, b: (a[0] & b[0], a[1] & b[1]),
    Op.OR: lambda a, b: (a[0] | b[0], a[1] | b[1]),
    Op.XOR: _exclusive,
    Op.NOT: _not,
    Op.BIT_AND: _bit_and,
    Op.BIT_OR: _bit_or,
    Op.BIT_XOR: _bit_xor,
    Op.BIT_NOT: lambda a: (~a[1], ~a[0]),
    Op.SHL: _shift_left,
    Op.SHR: _shift_right,
    Op.WHERE: _where,
    Op.TO_FLOAT: lambda a: (a[0].astype(np.float64), a[1].astype(np.float64)),
    Op.TO_INT: _to_int,
    **{op: _rising(op) for op in FLOAT_FUNCTIONS - {Op.FLOOR, Op.CEIL, Op.RSQRT, Op.SIN, Op.COS, Op.TAN}},
    Op.FLOOR: lambda a: (np.floor(a[0]), np.floor(a[1])),
    Op.CEIL: lambda a: (np.ceil(a[0]), np.ceil(a[1])),
    Op.RSQRT: _falling(Op.RSQRT),
    Op.SIN: _wave(Op.SIN, -1.0, 1.0),
    Op.COS: _wave(Op.COS, -1.0, 1.0),
    Op.TAN: _wave(Op.TAN, -np.inf, np.inf),
}
