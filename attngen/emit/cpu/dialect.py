"""How C++ spells each operation, once for scalars and once for vectors of rows.

A vector of bools is a mask: a vector of integers that are 0 or -1. So `&`, `|`, `^` and `~` act on it, and a
scalar bool that meets one goes through `lanes`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from attngen.expr.axis import Axis
from attngen.expr.build import const, make, rewrite
from attngen.expr.op import COMPARISONS, LOGIC, Expr, Kind, Op
from attngen.expr.printer import Dialect

_OR, _AND, _BIT_OR, _BIT_XOR, _BIT_AND, _EQUAL, _LESS, _SHIFT, _SUM, _PRODUCT, _UNARY = range(1, 12)

_CALLS = {
    Op.MIN: "minimum({0}, {1})", Op.MAX: "maximum({0}, {1})", Op.ABS: "absolute({0})",
    Op.FLOOR: "round_down({0})", Op.CEIL: "round_up({0})", Op.TO_INT: "truncate({0})",
    Op.EXP2: "exp2({0})", Op.LOG: "log({0})", Op.LOG2: "log2({0})", Op.SQRT: "sqrt({0})", Op.RSQRT: "rsqrt({0})",
    Op.SIN: "sin({0})", Op.COS: "cos({0})", Op.ERF: "erf({0})",
}  # fmt: skip


def _apart(outer: Op, inner: Op) -> bool:
    """Parentheses that C++ does not need and a reader does."""
    mixed = outer in (Op.AND, Op.OR) and inner in (Op.AND, Op.OR) and inner is not outer
    return mixed or (outer in LOGIC and inner in COMPARISONS)


def scalar_dialect(literal: Callable[[float], str]) -> Dialect:
    """For one value a tile or a key. ``literal`` prints a float."""
    return Dialect(
        binary={
            Op.LT: (_LESS, "<"), Op.LE: (_LESS, "<="), Op.GT: (_LESS, ">"), Op.GE: (_LESS, ">="),
            Op.EQ: (_EQUAL, "=="), Op.NE: (_EQUAL, "!="),
            Op.OR: (_OR, "||"), Op.AND: (_AND, "&&"), Op.XOR: (_EQUAL, "!="),
            Op.BIT_OR: (_BIT_OR, "|"), Op.BIT_XOR: (_BIT_XOR, "^"), Op.BIT_AND: (_BIT_AND, "&"),
            Op.SHL: (_SHIFT, "<<"), Op.SHR: (_SHIFT, ">>"), Op.ADD: (_SUM, "+"), Op.SUB: (_SUM, "-"),
            Op.MUL: (_PRODUCT, "*"), Op.DIV: (_PRODUCT, "/"), Op.FLOORDIV: (_PRODUCT, "/"), Op.MOD: (_PRODUCT, "%"),
        },
        prefix={Op.NEG: (_UNARY, "-"), Op.NOT: (_UNARY, "!"), Op.BIT_NOT: (_UNARY, "~")},
        calls={**_CALLS, Op.WHERE: "({0} ? {1} : {2})", Op.TO_FLOAT: "real({0})"},
        chains=frozenset({_EQUAL, _LESS}),
        floor_division={Op.FLOORDIV: "floor_div({0}, {1})", Op.MOD: "floor_mod({0}, {1})"},
        true="true",
        false="false",
        infinity="INF",
        nan="NOT_A_NUMBER",
        broadcast=lambda name, axis: name,
        literal=literal,
        apart=_apart,
    )  # fmt: skip


def vector_dialect(literal: Callable[[float], str]) -> Dialect:
    """For one value a row, in vectors; what is the same for all rows stays a scalar operand."""
    scalar = scalar_dialect(literal)
    logic = {Op.OR: (_BIT_OR, "|"), Op.AND: (_BIT_AND, "&"), Op.XOR: (_BIT_XOR, "^")}
    return dataclasses.replace(
        scalar,
        binary={**scalar.binary, **logic},
        prefix={**scalar.prefix, Op.NOT: (_UNARY, "~")},
        calls={**scalar.calls, Op.WHERE: "select({0}, {1}, {2})", Op.TO_FLOAT: "to_real({0})"},
        true="lanes(true)",
        false="lanes(false)",
    )


def broadcast(name: str, kind: Kind) -> str:
    """A scalar as an operand of vectors."""
    return f"lanes({name})" if kind is Kind.BOOL else name


def legalize(root: Expr) -> Expr:
    """Conversions of bools as choices (a mask holds -1, not 1), and 1 / x where a GPU has rsqrt(x) squared."""

    def rule(node: Expr) -> Expr:
        args = node.args
        if node.op is Op.TO_FLOAT and args[0].kind is Kind.BOOL:
            return make(Op.WHERE, args[0], const(1.0), const(0.0))
        if node.op is Op.TO_INT and args[0].kind is Kind.BOOL:
            return make(Op.WHERE, args[0], const(1), const(0))
        if node.op is Op.MUL and args[0] is args[1] and args[0].op is Op.RSQRT:
            return make(Op.DIV, const(1.0), args[0].args[0])
        return node

    return rewrite(root, rule)


ROW_OR_PAIR = (Axis.ROW, Axis.BOTH)
