"""How Triton spells each operation."""

from __future__ import annotations

import dataclasses

from attngen.expr.axis import Axis
from attngen.expr.op import Op
from attngen.expr.printer import Dialect

_COMPARE, _OR, _XOR, _AND, _SHIFT, _SUM, _PRODUCT, _UNARY = 1, 2, 3, 4, 5, 6, 7, 8


def _broadcast(name: str, axis: Axis) -> str:
    return f"{name}[:, None]" if axis is Axis.ROW else f"{name}[None, :]" if axis is Axis.COLUMN else name


# Python's precedence: & and | bind tighter than comparisons, so comparisons under them get parentheses.
TRITON = Dialect(
    binary={
        Op.LT: (_COMPARE, "<"), Op.LE: (_COMPARE, "<="), Op.GT: (_COMPARE, ">"), Op.GE: (_COMPARE, ">="),
        Op.EQ: (_COMPARE, "=="), Op.NE: (_COMPARE, "!="),
        Op.OR: (_OR, "|"), Op.XOR: (_XOR, "^"), Op.AND: (_AND, "&"),
        Op.BIT_OR: (_OR, "|"), Op.BIT_XOR: (_XOR, "^"), Op.BIT_AND: (_AND, "&"),
        Op.SHL: (_SHIFT, "<<"), Op.SHR: (_SHIFT, ">>"), Op.ADD: (_SUM, "+"), Op.SUB: (_SUM, "-"),
        Op.MUL: (_PRODUCT, "*"), Op.DIV: (_PRODUCT, "/"), Op.FLOORDIV: (_PRODUCT, "//"), Op.MOD: (_PRODUCT, "%"),
    },
    prefix={Op.NEG: (_UNARY, "-"), Op.NOT: (_UNARY, "~"), Op.BIT_NOT: (_UNARY, "~")},
    calls={
        Op.MIN: "tl.minimum({0}, {1})", Op.MAX: "tl.maximum({0}, {1})", Op.ABS: "tl.abs({0})",
        Op.WHERE: "tl.where({0}, {1}, {2})", Op.TO_FLOAT: "{0}.to(tl.float32)", Op.TO_INT: "{0}.to(tl.int32)",
        Op.FLOOR: "tl.floor({0})", Op.CEIL: "tl.ceil({0})", Op.EXP: "tl.exp({0})", Op.EXP2: "tl.exp2({0})",
        Op.LOG: "tl.log({0})", Op.LOG2: "tl.log2({0})", Op.SQRT: "tl.sqrt({0})", Op.RSQRT: "tl.rsqrt({0})",
        Op.SIN: "tl.sin({0})", Op.COS: "tl.cos({0})", Op.ERF: "tl.erf({0})",
    },
    chains=frozenset({_COMPARE}),
    floor_division={Op.FLOORDIV: "floor_div({0}, {1})", Op.MOD: "floor_mod({0}, {1})"},
    true="True",
    false="False",
    infinity='float("inf")',
    nan='float("nan")',
    broadcast=_broadcast,
)  # fmt: skip

# Lengths in the launcher are Python integers, whose // and % round as the language says.
PYTHON = dataclasses.replace(
    TRITON,
    calls={Op.MIN: "min({0}, {1})", Op.MAX: "max({0}, {1})", Op.ABS: "abs({0})", Op.WHERE: "({1} if {0} else {2})"},
    floor_division={},
)
