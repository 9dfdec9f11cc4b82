"""Printed text means the expression: random trees are printed for Triton and run as Python with NumPy."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attngen.emit.names import printer
from attngen.emit.triton_dialect import TRITON
from attngen.expr.axis import Axis
from attngen.expr.build import KV_IDX, Q_IDX, const, make
from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import LEAVES, Expr, Kind, Op
from attngen.expr.printer import WIDTH
from attngen.expr.simplify import simplify
from attngen.graph.legality import REDUCED

NUMBERS = st.sampled_from([Q_IDX, KV_IDX]) | st.integers(-4, 4).map(const)


def _integers(children: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    two = st.tuples(st.sampled_from([Op.ADD, Op.SUB, Op.MUL, Op.MIN, Op.MAX]), children, children)
    divided = st.tuples(st.sampled_from([Op.FLOORDIV, Op.MOD]), children, st.sampled_from([1, 2, 3, 7, -3]).map(const))
    bits = st.tuples(st.sampled_from([Op.BIT_AND, Op.BIT_OR, Op.BIT_XOR]), children, children)
    one = st.tuples(st.sampled_from([Op.NEG, Op.ABS, Op.BIT_NOT]), children)
    return (two | divided | bits | one).map(lambda item: make(item[0], *item[1:]))


INTEGERS = st.recursive(NUMBERS, _integers, max_leaves=8)
COMPARED = st.tuples(st.sampled_from([Op.LT, Op.LE, Op.GT, Op.GE, Op.EQ, Op.NE]), INTEGERS, INTEGERS).map(
    lambda item: make(*item)
)


def _bools(children: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    # comparisons of comparisons: the nest that a wrong precedence survives only if it is never tried
    two = st.tuples(st.sampled_from([Op.AND, Op.OR, Op.XOR, Op.EQ, Op.NE]), children, children)
    return (two | st.tuples(st.just(Op.NOT), children)).map(lambda item: make(item[0], *item[1:]))


BOOLS = st.recursive(COMPARED, _bools, max_leaves=5)
CHOSEN = st.tuples(BOOLS, INTEGERS, INTEGERS).map(lambda item: make(Op.WHERE, *item))


def _floor_div(a: Any, b: Any) -> Any:
    return np.floor_divide(a, b)


FAKE_TL = types.SimpleNamespace(
    minimum=np.minimum, maximum=np.maximum, abs=np.abs, where=np.where, float32=np.float64, int32=np.int64
)
SCOPE = {"tl": FAKE_TL, "floor_div": _floor_div, "floor_mod": np.mod}
ROWS, KEYS = np.arange(5), np.arange(6)


def run(lines: list[str]) -> Any:
    names: dict[str, Any] = {**SCOPE, "offs_m": ROWS, "offs_n": KEYS}
    exec("\n".join(lines), names)  # the text under test is our own
    return np.broadcast_to(names["out"], (5, 6))


@settings(max_examples=1500, derandomize=True)
@given(INTEGERS | BOOLS | CHOSEN)
def test_printed_text_means_the_expression(expr: Expr) -> None:
    # constants alone would be Python numbers, where ~True is -2: the pipeline has folded them before printing
    lines = printer((), (), packed=False, clamp_keys=False).statements(simplify(expr), "out", Axis.BOTH)
    env = Env(index={"q": ROWS[:, None], "kv": KEYS[None, :]}, length={})
    wanted = np.broadcast_to(evaluate(expr, env), (5, 6))
    assert np.array_equal(run(lines), wanted), lines


@settings(max_examples=200, derandomize=True)
@given(st.recursive(NUMBERS, _integers, max_leaves=40))
def test_statements_fit_a_line(expr: Expr) -> None:
    for line in printer((), (), packed=False, clamp_keys=False).statements(expr, "out", Axis.BOTH):
        assert len(line) <= WIDTH + 30, line


@pytest.mark.parametrize("op", Op, ids=lambda op: op.name)
def test_every_operation_has_a_spelling_or_is_rewritten(op: Op) -> None:
    assert op in TRITON.covers() | LEAVES | {Op.LOAD} | REDUCED


def test_truncating_division_only_where_nothing_is_negative() -> None:
    text = printer((), (), packed=False, clamp_keys=False)
    assert text.text(make(Op.FLOORDIV, KV_IDX, const(4)), Axis.COLUMN) == "offs_n // 4"
    assert text.text(make(Op.MOD, make(Op.SUB, Q_IDX, KV_IDX), const(4)), Axis.BOTH).startswith("floor_mod(")
    assert text.helpers == {Op.FLOORDIV, Op.MOD}


def test_negative_constants_bind_like_unary_minus() -> None:
    text = printer((), (), packed=False, clamp_keys=False)
    minus = make(Op.SUB, const(-2), make(Op.NEG, Q_IDX))
    assert text.text(minus, Axis.ROW) == "-2 - -offs_m"
    assert text.text(make(Op.MUL, const(2.0), const(-1.5)), Axis.TILE) == "2.0 * -1.5"
    assert make(Op.MUL, const(2.0), const(-1.5)).kind is Kind.FLOAT
