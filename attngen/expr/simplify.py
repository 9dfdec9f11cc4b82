"""Constant folding and algebra that is exact: no result changes by a bit (constants fold in double precision)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from attngen.expr.build import FALSE, TRUE, const, make, rewrite, to_float
from attngen.expr.op import COMPARISONS, LEAVES, Expr, Kind, Op

_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1


def _shift(sign: int) -> Callable[[int, int], int]:
    def apply(x: int, by: int) -> int:
        if not 0 <= by < 32:
            raise ValueError("shift count")
        return x << by if sign > 0 else x >> by

    return apply


# What an operation does to Python numbers. Missing: leaves, and what is not worth folding.
FOLD: dict[Op, Callable[..., Any]] = {
    Op.ADD: operator.add, Op.SUB: operator.sub, Op.MUL: operator.mul, Op.DIV: operator.truediv,
    Op.FLOORDIV: operator.floordiv, Op.MOD: operator.mod, Op.NEG: operator.neg, Op.ABS: abs, Op.MIN: min, Op.MAX: max,
    Op.LT: operator.lt, Op.LE: operator.le, Op.GT: operator.gt, Op.GE: operator.ge,
    Op.EQ: operator.eq, Op.NE: operator.ne,
    Op.AND: lambda a, b: a and b, Op.OR: lambda a, b: a or b, Op.XOR: operator.ne, Op.NOT: operator.not_,
    Op.BIT_AND: operator.and_, Op.BIT_OR: operator.or_, Op.BIT_XOR: operator.xor, Op.BIT_NOT: operator.invert,
    Op.SHL: _shift(1), Op.SHR: _shift(-1), Op.WHERE: lambda c, a, b: a if c else b,
    Op.TO_FLOAT: float, Op.TO_INT: int,
    Op.FLOOR: lambda x: float(math.floor(x)), Op.CEIL: lambda x: float(math.ceil(x)),
    Op.EXP: math.exp, Op.EXP2: math.exp2, Op.LOG: math.log, Op.LOG2: math.log2, Op.LOG1P: math.log1p,
    Op.SQRT: math.sqrt,
    Op.RSQRT: lambda x: 1.0 / math.sqrt(x), Op.TANH: math.tanh, Op.SIGMOID: lambda x: 1.0 / (1.0 + math.exp(-x)),
    Op.SIN: math.sin, Op.COS: math.cos, Op.TAN: math.tan, Op.ERF: math.erf,
}  # fmt: skip

_NEGATED = {Op.LT: Op.GE, Op.LE: Op.GT, Op.GT: Op.LE, Op.GE: Op.LT, Op.EQ: Op.NE, Op.NE: Op.EQ}


def is_const(node: Expr, value: bool | int | float | None = None) -> bool:
    if node.op is not Op.CONST:
        return False
    return value is None or (type(node.value) is type(value) and node.value == value)


def _fold(node: Expr) -> Expr:
    if node.op in LEAVES or node.op is Op.LOAD or not node.args or not all(is_const(arg) for arg in node.args):
        return node
    try:
        value = FOLD[node.op](*(arg.value for arg in node.args))
    except (ArithmeticError, ValueError):
        return node  # 1 / 0 and the like keep their meaning at run time
    if node.kind is Kind.INT and not _INT_MIN <= value <= _INT_MAX:
        return node
    if node.kind is Kind.FLOAT:
        value = float(value)
    return const(value)


def _logic(node: Expr) -> Expr:
    args = node.args
    match node.op:
        case Op.AND:
            if FALSE in args or any(a.op is Op.NOT and a.args[0] is b for a, b in (args, args[::-1])):
                return FALSE
            if args[0] is TRUE or args[0] is args[1]:
                return args[1]
            return args[0] if args[1] is TRUE else _without_repeats(node)
        case Op.OR:
            if TRUE in args or any(a.op is Op.NOT and a.args[0] is b for a, b in (args, args[::-1])):
                return TRUE
            if args[0] is FALSE or args[0] is args[1]:
                return args[1]
            return args[0] if args[1] is FALSE else _without_repeats(node)
        case Op.XOR if FALSE in args:
            return args[1] if args[0] is FALSE else args[0]
        case Op.NOT:
            inner = args[0]
            if inner.op is Op.NOT:
                return inner.args[0]
            # not (a < b) is a >= b for integers only: NaN compares false both ways
            if inner.op in _NEGATED and inner.args[0].kind is not Kind.FLOAT:
                return make(_NEGATED[inner.op], *inner.args)
        case Op.WHERE:
            if args[1] is args[2]:
                return args[1]
            if is_const(args[0]):
                return args[1] if args[0].value else args[2]
            if args[1] is TRUE and args[2] is FALSE:
                return args[0]
        case Op.NE if args[0].op is Op.TO_INT and args[0].args[0].kind is Kind.BOOL and is_const(args[1], 0):
            return args[0].args[0]
        case op if op in COMPARISONS and args[0] is args[1] and args[0].kind is not Kind.FLOAT:
            return TRUE if op in (Op.LE, Op.GE, Op.EQ) else FALSE
    return node


def _without_repeats(node: Expr) -> Expr:
    """a & (b & a) -> a & b, and the same for |."""
    parts: list[Expr] = []
    stack = [node]
    while stack:
        part = stack.pop()
        if part.op is node.op:
            stack += reversed(part.args)
        else:
            parts.append(part)
    unique = list(dict.fromkeys(parts))
    return node if len(unique) == len(parts) else reduce(partial(make, node.op), unique)


def _arithmetic(node: Expr) -> Expr:
    if node.kind is Kind.BOOL or not node.args:
        return node
    left, right = node.args[0], node.args[-1]
    whole = node.kind is Kind.INT
    match node.op:
        case Op.ADD if whole and is_const(left, 0):
            return right
        case Op.ADD if whole and is_const(right, 0):
            return left
        case Op.ADD if whole and right.op is Op.NEG:
            return make(Op.SUB, left, right.args[0])
        case Op.SUB if is_const(right, 0) or is_const(right, 0.0):
            return left
        case Op.SUB if whole and left is right:
            return const(0)
        case Op.MUL if is_const(left, 1) or is_const(left, 1.0):
            return right
        case Op.MUL if is_const(right, 1) or is_const(right, 1.0):
            return left
        case Op.MUL if is_const(left, -1) or is_const(left, -1.0):
            return make(Op.NEG, right)
        case Op.NEG if whole and left.op is Op.SUB:
            return make(Op.SUB, left.args[1], left.args[0])
        case Op.MUL if whole and (is_const(left, 0) or is_const(right, 0)):
            return const(0)
        case Op.DIV if is_const(right, 1.0):
            return left
        case Op.FLOORDIV if whole and is_const(right, 1):
            return left
        case Op.MOD if whole and is_const(right, 1):
            return const(0)
        case Op.NEG if left.op is Op.NEG:
            return left.args[0]
        case Op.MIN | Op.MAX if left is right:
            return left
        case Op.TO_FLOAT if left.op is Op.NEG and left.kind is Kind.INT:
            return make(Op.NEG, to_float(left.args[0]))
    return node


def _rule(node: Expr) -> Expr:
    for step in (_fold, _logic, _arithmetic):
        out = step(node)
        if out is not node:
            return out
    return node


def simplify(root: Expr) -> Expr:
    """Rules applied bottom-up until nothing changes."""
    while (out := rewrite(root, _rule)) is not root:
        root = out
    return root
