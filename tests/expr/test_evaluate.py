"""The NumPy evaluation against Python's own arithmetic, one scalar at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attngen.expr import evaluate as module
from attngen.expr.build import (
    B_IDX,
    H_IDX,
    KV_IDX,
    M_LEN,
    N_LEN,
    Q_IDX,
    SCORE,
    const,
    index,
    load,
    make,
    named,
    param,
    size,
    to_int,
)  # fmt: skip
from attngen.expr.evaluate import LEAF, RULE, Env, evaluate
from attngen.expr.op import COMPARISONS, Kind, Op, Param, TensorRef

INTS = [-7, -3, -1, 0, 1, 2, 5, 31]
FLOATS = [-2.5, -1.0, -0.25, 0.0, 0.5, 1.0, 3.75]


def scalar(op: Op, *values: float) -> float:
    return evaluate(make(op, *(const(v) for v in values)), Env({}, {})).item()


def test_the_tables_cover_every_op() -> None:
    assert set(LEAF) | set(RULE) | {Op.LOAD} == set(Op)
    assert not set(LEAF) & set(RULE)


@pytest.mark.parametrize("b", [-3, 2, 5])
@pytest.mark.parametrize("a", INTS)
def test_integer_arithmetic_is_python_s(a: int, b: int) -> None:
    assert scalar(Op.ADD, a, b) == a + b
    assert scalar(Op.SUB, a, b) == a - b
    assert scalar(Op.MUL, a, b) == a * b
    assert scalar(Op.FLOORDIV, a, b) == a // b
    assert scalar(Op.MOD, a, b) == a % b
    assert scalar(Op.DIV, a, b) == a / b
    assert scalar(Op.MIN, a, b) == min(a, b)
    assert scalar(Op.MAX, a, b) == max(a, b)
    assert scalar(Op.BIT_AND, a, b) == a & b
    assert scalar(Op.BIT_OR, a, b) == a | b
    assert scalar(Op.BIT_XOR, a, b) == a ^ b
    assert scalar(Op.NEG, a) == -a
    assert scalar(Op.ABS, a) == abs(a)
    assert scalar(Op.BIT_NOT, a) == ~a
    if b > 0:
        assert scalar(Op.SHL, a, b) == a << b
        assert scalar(Op.SHR, a, b) == a >> b


@pytest.mark.parametrize("a", INTS)
@pytest.mark.parametrize("b", INTS)
def test_comparisons(a: int, b: int) -> None:
    python = {Op.LT: a < b, Op.LE: a <= b, Op.GT: a > b, Op.GE: a >= b, Op.EQ: a == b, Op.NE: a != b}
    assert {op: scalar(op, a, b) for op in COMPARISONS} == python


@pytest.mark.parametrize("a", [False, True])
@pytest.mark.parametrize("b", [False, True])
def test_logic(a: bool, b: bool) -> None:
    assert scalar(Op.AND, a, b) == (a and b)
    assert scalar(Op.OR, a, b) == (a or b)
    assert scalar(Op.XOR, a, b) == (a != b)
    assert scalar(Op.NOT, a) == (not a)
    assert scalar(Op.WHERE, a, 1.5, 2.5) == (1.5 if a else 2.5)


@pytest.mark.parametrize("x", FLOATS)
def test_functions_of_floats(x: float) -> None:
    python = {
        Op.FLOOR: math.floor, Op.CEIL: math.ceil, Op.EXP: math.exp, Op.EXP2: lambda v: 2.0**v, Op.TANH: math.tanh,
        Op.SIN: math.sin, Op.COS: math.cos, Op.TAN: math.tan, Op.ERF: math.erf,
        Op.SIGMOID: lambda v: 1 / (1 + math.exp(-v)), Op.TO_INT: int,
    }  # fmt: skip
    for op, function in python.items():
        assert scalar(op, x) == pytest.approx(function(x), rel=1e-15, abs=1e-300), op
    if x > 0:
        above = {
            Op.LOG: math.log,
            Op.LOG2: math.log2,
            Op.LOG1P: math.log1p,
            Op.SQRT: math.sqrt,
            Op.RSQRT: lambda v: v**-0.5,
        }
        for op, function in above.items():
            assert scalar(op, x) == pytest.approx(function(x), rel=1e-15), op


def test_every_kind_has_one_dtype() -> None:
    env = Env.dense(1, 1, 3, 4, score=np.ones((1, 1, 3, 4), np.float32))
    assert evaluate(SCORE, env).dtype == np.float64
    assert evaluate(make(Op.ADD, Q_IDX, KV_IDX), env).dtype == np.int64
    assert evaluate(make(Op.LE, KV_IDX, Q_IDX), env).dtype == np.bool_
    assert evaluate(make(Op.DIV, KV_IDX, Q_IDX), env).dtype == np.float64


def test_indices_and_lengths() -> None:
    env = Env.dense(2, 3, 4, 5)
    weights = ((B_IDX, 1000), (H_IDX, 100), (Q_IDX, 10), (KV_IDX, 1), (length := M_LEN, 10_000), (N_LEN, 100_000))
    assert length is M_LEN
    total = const(0)
    for leaf, weight in weights:
        total = make(Op.ADD, total, make(Op.MUL, leaf, const(weight)))
    got = evaluate(total, env)
    assert got.shape == (2, 3, 4, 5)
    assert got[1, 2, 3, 4] == 1234 + 4 * 10_000 + 5 * 100_000


def test_params_and_named_values() -> None:
    w = param(Param("W", "int32"))
    row = named("row", Kind.FLOAT, "row")
    env = Env({}, {}, params={"W": 3}, named={"row": np.array([[1.0], [2.0]])})
    assert evaluate(make(Op.MUL, w, row), env).tolist() == [[3.0], [6.0]]


def test_a_load_clamps_its_subscripts() -> None:
    t = TensorRef("t", "int32", (None,))
    array = np.array([10, 20, 30])
    env = Env({"q": np.arange(-2, 6)}, {}, tensors={t: array})
    assert evaluate(load(t, (index("q"),)), env).tolist() == [10, 10, 10, 20, 30, 30, 30, 30]


def test_a_dimension_of_size_one_broadcasts() -> None:
    t = TensorRef("t", "fp32", (1, None))
    env = Env.dense(2, 1, 1, 3, tensors={t: np.array([[1.0, 2.0, 3.0]])})
    got = np.broadcast_to(evaluate(load(t, (B_IDX, KV_IDX)), env), (2, 1, 1, 3))
    assert got[1, 0, 0].tolist() == [1.0, 2.0, 3.0]


def test_sizes_scalars_and_empty_tensors() -> None:
    t, zero, empty = TensorRef("t", "fp32", (None, None)), TensorRef("z", "fp32", ()), TensorRef("e", "int32", (None,))
    arrays = {t: np.ones((3, 7)), zero: np.array(2.5), empty: np.zeros(0, np.int32)}
    env = Env.dense(1, 1, 2, 2, tensors=arrays)
    assert evaluate(size(t, 1), env) == 7
    assert evaluate(load(zero, ()), env) == 2.5
    assert evaluate(load(empty, (Q_IDX,)), env).tolist() == [[[[0], [0]]]]


def test_both_sides_of_where_are_computed_in_silence(recwarn: pytest.WarningsRecorder) -> None:
    q = Q_IDX
    safe = make(Op.WHERE, make(Op.EQ, q, const(0)), const(0.0), make(Op.DIV, const(1.0), q))
    assert evaluate(safe, Env({"q": np.array([0, 2])}, {})).tolist() == [0.0, 0.5]
    assert not recwarn.list


def test_each_distinct_node_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setitem(module.RULE, Op.MUL, lambda a, b: calls.append(1) or np.multiply(a, b))
    x = to_int(SCORE)
    for _ in range(20):
        x = make(Op.MUL, x, x)
    assert evaluate(x, Env({}, {}, score=np.array(1.0))) == 1
    assert len(calls) == 20
