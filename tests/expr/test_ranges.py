"""Bounds of integer expressions: sound on random ones, and sharp where the printer needs them."""

from __future__ import annotations

import numpy as np
import pytest

from attngen.expr.build import B_IDX, KV_IDX, M_LEN, N_LEN, Q_IDX, const, length, load, make, named, param, size, to_int
from attngen.expr.build import INT as INT_KIND
from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr, Op, Param, TensorRef
from attngen.expr.ranges import bounds, nonnegative, upper_bound
from attngen.expr.show import show

POS = make(Op.ADD, Q_IDX, make(Op.SUB, N_LEN, M_LEN))
TILE = named("q_tile", INT_KIND)
TABLE = TensorRef("table", "int32", ("M",))


def div(x: Expr, by: int) -> Expr:
    return make(Op.FLOORDIV, x, const(by))


@pytest.mark.parametrize(
    "expr",
    [Q_IDX, div(KV_IDX, 64), make(Op.MOD, make(Op.SUB, Q_IDX, KV_IDX), const(7)), make(Op.MUL, const(128), TILE),
     div(make(Op.ADD, N_LEN, const(63)), 64), make(Op.SUB, make(Op.SUB, M_LEN, const(1)), Q_IDX),
     make(Op.SUB, N_LEN, const(1)), make(Op.SUB, N_LEN, KV_IDX), make(Op.MAX, POS, const(0)), make(Op.ABS, POS),
     to_int(make(Op.LT, POS, KV_IDX)), make(Op.MOD, POS, N_LEN),
     make(Op.SUB, size(TABLE, 0), const(1)), make(Op.BIT_AND, POS, const(31)), make(Op.SHR, KV_IDX, const(5)),
     make(Op.WHERE, make(Op.LT, Q_IDX, KV_IDX), Q_IDX, const(3))],
    ids=show,
)  # fmt: skip
def test_never_negative(expr: Expr) -> None:
    assert nonnegative(expr)


@pytest.mark.parametrize(
    "expr",
    [POS, make(Op.SUB, Q_IDX, KV_IDX), make(Op.SUB, KV_IDX, const(1)), make(Op.SUB, N_LEN, Q_IDX), make(Op.NEG, Q_IDX),
     param(Param("W", "int32")), load(TABLE, [Q_IDX]), make(Op.MOD, Q_IDX, const(-3)), make(Op.MIN, Q_IDX, POS),
     make(Op.SUB, make(Op.SUB, M_LEN, const(1)), make(Op.MUL, const(2), Q_IDX)), named("unknown", INT_KIND)],
    ids=show,
)  # fmt: skip
def test_perhaps_negative(expr: Expr) -> None:
    assert not nonnegative(expr)


def test_facts() -> None:
    window = param(Param("W", "int32"))
    assert not nonnegative(make(Op.ADD, window, const(1)))
    assert nonnegative(make(Op.ADD, window, const(1)), [window])
    assert nonnegative(div(POS, 64), [POS])


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (div(Q_IDX, 64), "(M - 1) // 64"),
        (KV_IDX, "N - 1"),
        (POS, "N - 1"),
        (B_IDX, "B - 1"),
        (make(Op.MOD, KV_IDX, const(9)), "8"),
        (make(Op.MUL, const(2), Q_IDX), "2 * M - 2"),
        (make(Op.SUB, Q_IDX, KV_IDX), "M - 1"),
        (make(Op.MAX, Q_IDX, KV_IDX), "maximum(M - 1, N - 1)"),
    ],
)
def test_upper_bound(expr: Expr, text: str) -> None:
    bound = upper_bound(expr)
    assert bound is not None
    assert show(bound) == text


def test_no_upper_bound() -> None:
    assert upper_bound(load(TABLE, [Q_IDX])) is None
    assert upper_bound(make(Op.MUL, Q_IDX, KV_IDX)) is None
    assert upper_bound(make(Op.SUB, Q_IDX, param(Param("W", "int32")))) is None


def random_expr(rng: np.random.Generator, depth: int) -> Expr:
    if depth == 0:
        return (Q_IDX, KV_IDX, B_IDX, M_LEN, N_LEN, const(int(rng.integers(-9, 10))))[rng.integers(6)]
    ops = [Op.ADD, Op.SUB, Op.SUB, Op.MUL, Op.FLOORDIV, Op.MOD, Op.NEG, Op.ABS, Op.MIN, Op.MAX, Op.WHERE, Op.SHR]
    op = [*ops, Op.BIT_AND][rng.integers(13)]
    a, b = random_expr(rng, depth - 1), random_expr(rng, depth - 1)
    match op:
        case Op.NEG | Op.ABS:
            return make(op, a)
        case Op.FLOORDIV | Op.MOD:
            return make(op, a, (const(int(rng.choice([-4, 1, 2, 7]))), M_LEN, N_LEN)[rng.integers(3)])
        case Op.SHR:
            return make(op, a, const(int(rng.integers(0, 4))))
        case Op.WHERE:
            return make(op, make(Op.LT, a, b), a, b)
    return make(op, a, b)


def test_random_expressions() -> None:
    rng = np.random.default_rng(0)
    known = 0
    for _ in range(3000):
        expr = random_expr(rng, int(rng.integers(1, 4)))
        low, high = bounds(expr)
        top = upper_bound(expr)
        known += low is not None
        for m, n, batch in ((1, 1, 1), (5, 3, 2), (4, 9, 3)):
            index = {"q": np.arange(m)[:, None, None], "kv": np.arange(n)[:, None], "b": np.arange(batch)}
            env = Env(index, {"M": m, "N": n, "B": batch})
            values = evaluate(expr, env)
            assert low is None or low <= values.min(), expr
            assert high is None or high >= values.max(), expr
            assert top is None or evaluate(top, env) >= values.max(), f"{show(expr)} <= {show(top)}"
    assert known > 1000


def test_lengths_of_indices() -> None:
    assert bounds(length("M")) == (1, None)
    assert bounds(const(5)) == (5, 5)
