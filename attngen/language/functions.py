"""The scalar functions of the language, over expressions: shared by the grammar, the tracer and the vocabulary."""

from __future__ import annotations

import math
from collections.abc import Callable

from attngen.errors import ExpressionError
from attngen.expr.build import as_kind, const, make, to_bool, to_float, to_int
from attngen.expr.op import FLOAT_FUNCTIONS, Expr, Kind, Op

_MIXING = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.FLOORDIV, Op.MOD, Op.MIN, Op.MAX, Op.WHERE})
_LARGEST_POWER = 16


def apply(op: Op, *args: Expr) -> Expr:
    """``make``, with integer literals beside floats written as floats (``score + 1`` is ``score + 1.0``)."""
    if op is Op.DIV or (op in _MIXING and any(x.kind is Kind.FLOAT for x in args)):
        head, values = (args[:1], args[1:]) if op is Op.WHERE else ((), args)
        args = head + tuple(_float_literal(x) for x in values)
    elif op not in (Op.TO_FLOAT, Op.TO_INT) and any(x.kind is Kind.FLOAT for x in args):
        args = tuple(_float_literal(x) for x in args)
    return make(op, *args)


def _float_literal(x: Expr) -> Expr:
    return const(float(x.value)) if x.op is Op.CONST and x.kind is Kind.INT else x


def _of(op: Op) -> Callable[..., Expr]:
    def function(*args: Expr) -> Expr:
        return apply(op, *args)

    return function


def clamp(x: Expr, low: Expr, high: Expr) -> Expr:
    """min(max(x, low), high)."""
    return apply(Op.MIN, apply(Op.MAX, x, low), high)


def square(x: Expr) -> Expr:
    return apply(Op.MUL, x, x)


def relu(x: Expr) -> Expr:
    return apply(Op.MAX, x, const(0))


def silu(x: Expr) -> Expr:
    """x * sigmoid(x)."""
    return apply(Op.MUL, x, apply(Op.SIGMOID, x))


def gelu(x: Expr) -> Expr:
    """x * (1 + erf(x / sqrt 2)) / 2 (the exact form)."""
    half = apply(Op.MUL, const(0.5), x)
    return apply(Op.MUL, half, apply(Op.ADD, const(1.0), apply(Op.ERF, apply(Op.MUL, x, const(math.sqrt(0.5))))))


def gelu_tanh(x: Expr) -> Expr:
    """x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2."""
    cube = apply(Op.MUL, apply(Op.MUL, x, x), x)
    inner = apply(Op.ADD, x, apply(Op.MUL, const(0.044715), cube))
    tanh = apply(Op.TANH, apply(Op.MUL, const(math.sqrt(2 / math.pi)), inner))
    return apply(Op.MUL, apply(Op.MUL, const(0.5), x), apply(Op.ADD, const(1.0), tanh))


def softplus(x: Expr) -> Expr:
    """log(1 + exp(x)), without overflow."""
    return apply(Op.ADD, relu(x), apply(Op.LOG1P, apply(Op.EXP, apply(Op.NEG, apply(Op.ABS, x)))))


def log_sigmoid(x: Expr) -> Expr:
    return apply(Op.NEG, softplus(apply(Op.NEG, x)))


def sign(x: Expr) -> Expr:
    below = apply(Op.WHERE, apply(Op.LT, x, const(0)), const(-1), const(0))
    return as_kind(apply(Op.WHERE, apply(Op.GT, x, const(0)), const(1), below), x.kind)


def truncate(x: Expr) -> Expr:
    """Rounds towards zero; integers are themselves."""
    if x.kind is not Kind.FLOAT:
        return x
    return apply(Op.WHERE, apply(Op.LT, x, const(0.0)), apply(Op.CEIL, x), apply(Op.FLOOR, x))


def round_half_even(x: Expr) -> Expr:
    """Rounds to the nearest integer, ties to the even one, as torch and NumPy do."""
    if x.kind is not Kind.FLOAT:
        return x
    below = apply(Op.FLOOR, x)
    rest = apply(Op.SUB, x, below)
    odd = apply(Op.EQ, apply(Op.MOD, below, const(2.0)), const(1.0))
    tie_up = apply(Op.AND, apply(Op.EQ, rest, const(0.5)), odd)
    up = apply(Op.OR, apply(Op.GT, rest, const(0.5)), tie_up)
    return apply(Op.WHERE, up, apply(Op.ADD, below, const(1.0)), below)


def floor(x: Expr) -> Expr:
    return x if x.kind is not Kind.FLOAT else make(Op.FLOOR, x)


def ceil(x: Expr) -> Expr:
    return x if x.kind is not Kind.FLOAT else make(Op.CEIL, x)


def power(base: Expr, exponent: Expr) -> Expr:
    """x ** n for a small integer n, x ** 0.5, and c ** x for a positive constant c."""
    if exponent.op is Op.CONST and not isinstance(exponent.value, bool):
        if abs(exponent.value) <= _LARGEST_POWER and exponent.value == int(exponent.value):
            out = _integer_power(base, abs(int(exponent.value)))
            out = to_float(out) if exponent.kind is Kind.FLOAT else out
            return out if exponent.value >= 0 else apply(Op.DIV, const(1.0), out)
        if exponent.value in (0.5, -0.5):
            return apply(Op.SQRT if exponent.value > 0 else Op.RSQRT, base)
    if base.op is Op.CONST and base.value > 0:
        if base.kind is Kind.INT and exponent.kind is not Kind.FLOAT:
            if base.value == 2:
                return apply(Op.SHL, const(1), exponent)
        else:
            scaled = exponent if base.value == 2 else apply(Op.MUL, exponent, const(math.log2(base.value)))
            return apply(Op.EXP2, scaled)
    raise ExpressionError(
        "this power has no exact form",
        remedy="use x ** n with a constant n up to 16, x ** 0.5, 2.0 ** x, or exp2(y * log2(x)) for positive x",
    )


def _integer_power(base: Expr, n: int) -> Expr:
    if n == 0:
        return const(1) if base.kind is not Kind.FLOAT else const(1.0)
    out = base
    for bit in bin(n)[3:]:
        out = square(out)
        if bit == "1":
            out = apply(Op.MUL, out, base)
    return out


# name -> (function, number of arguments); the names of the text grammar
FUNCTIONS: dict[str, tuple[Callable[..., Expr], int]] = {
    "where": (_of(Op.WHERE), 3),
    "minimum": (_of(Op.MIN), 2),
    "maximum": (_of(Op.MAX), 2),
    "min": (_of(Op.MIN), 2),
    "max": (_of(Op.MAX), 2),
    "clamp": (clamp, 3),
    "abs": (_of(Op.ABS), 1),
    "float": (to_float, 1),
    "int": (to_int, 1),
    "bool": (to_bool, 1),
    "bit_and": (_of(Op.BIT_AND), 2),
    "bit_or": (_of(Op.BIT_OR), 2),
    "bit_xor": (_of(Op.BIT_XOR), 2),
    "bit_not": (_of(Op.BIT_NOT), 1),
    "shift_left": (_of(Op.SHL), 2),
    "shift_right": (_of(Op.SHR), 2),
    "square": (square, 1),
    "relu": (relu, 1),
    "silu": (silu, 1),
    "gelu": (gelu, 1),
    "softplus": (softplus, 1),
    "sign": (sign, 1),
    "round": (round_half_even, 1),
    "pow": (power, 2),
    **{op.value: (_of(op), 1) for op in sorted(FLOAT_FUNCTIONS, key=lambda op: op.value)},
}
