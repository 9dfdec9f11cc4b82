"""Tests that a deliberate fault asked for, which nothing else noticed (docs/teeth.md)."""

from __future__ import annotations

from attngen.emit.names import printer
from attngen.expr.axis import Axis
from attngen.expr.build import KV_IDX, M_LEN, Q_IDX, const, make, param, to_float
from attngen.expr.op import Expr, Op, Param
from attngen.expr.simplify import simplify

W, X = Param("W", "int32"), Param("x", "float32")


def text(expr: Expr) -> str:
    return printer((W, X), (), packed=False, clamp_keys=False).text(expr, Axis.ROW)


def test_a_remainder_of_any_sign_is_the_machines_only_beside_zero() -> None:
    phase = make(Op.MOD, param(W), const(3))
    assert text(make(Op.EQ, phase, const(0))) == "W % 3 == 0"
    assert text(make(Op.EQ, phase, const(1))) == "floor_mod(W, 3) == 1"
    assert text(make(Op.EQ, phase, Q_IDX)) == "floor_mod(W, 3) == offs_m"


def test_a_length_goes_to_the_right_of_its_comparison() -> None:
    assert text(make(Op.GE, M_LEN, make(Op.ADD, Q_IDX, const(1)))) == "offs_m + 1 <= M"
    assert text(make(Op.LT, M_LEN, make(Op.ADD, Q_IDX, const(1)))) == "offs_m + 1 > M"


def test_a_method_is_called_on_the_whole_operand() -> None:
    assert text(to_float(make(Op.ADD, Q_IDX, const(1)))) == "(offs_m + 1).to(tl.float32)"


def test_not_below_is_not_at_least_for_floats() -> None:
    below = make(Op.LT, param(X), const(1.0))
    assert simplify(make(Op.NOT, below)) is make(Op.NOT, below)
    assert simplify(make(Op.NOT, make(Op.LT, Q_IDX, KV_IDX))) is make(Op.GE, Q_IDX, KV_IDX)


def test_constants_fold_within_32_bits() -> None:
    largest = const(2**31 - 1)
    assert simplify(make(Op.ADD, const(2**31 - 2), const(1))) is largest
    beyond = make(Op.ADD, largest, const(1))
    assert simplify(beyond) is beyond
