"""Loads stay inside their tensors: proven indices become lengths that the launcher asks for, others are clamped."""

from __future__ import annotations

import numpy as np

from attngen.expr.build import Q_IDX, const, load, make
from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr, Op, TensorRef
from attngen.graph.guard import Guard

TABLE = TensorRef("table", "fp32", (None,), captured=True)
M = 7


def at_rows(expr: Expr, table: np.ndarray) -> np.ndarray:
    """The value at every row of a sequence of M queries."""
    named = {"rows": np.arange(M)}
    return evaluate(expr, Env(index={}, length={"M": M}, tensors={TABLE: table}, named=named))


def test_an_index_in_range_asks_for_as_many_elements_as_it_reads() -> None:
    guard = Guard()
    guarded = guard(load(TABLE, [make(Op.ADD, Q_IDX, const(3))]))
    (minimum,) = guard.needs[TABLE, 0]
    assert evaluate(minimum, Env(index={}, length={"M": M})) == M + 3
    np.testing.assert_array_equal(at_rows(guarded, np.arange(M + 3.0)), np.arange(3.0, M + 3))


def test_an_index_that_may_leave_is_clamped() -> None:
    guard = Guard()
    guarded = guard(load(TABLE, [make(Op.MUL, const(2), make(Op.SUB, Q_IDX, const(2)))]))
    assert guard.needs == {(TABLE, 0): ()}
    # the subscript itself: an evaluation would clamp it once more
    np.testing.assert_array_equal(at_rows(guarded.args[0], np.arange(4.0)), [0, 0, 0, 2, 3, 3, 3])
