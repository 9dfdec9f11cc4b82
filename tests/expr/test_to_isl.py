"""Expressions as isl sets hold the same points as NumPy finds."""

from __future__ import annotations

import islpy as isl
import numpy as np
import pytest

from attngen.expr.build import FALSE, KV_IDX, M_LEN, N_LEN, Q_IDX, TRUE, const, load, make, param, to_float, to_int
from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr, Op, Param, TensorRef
from attngen.expr.to_isl import AFFINE_OPS, OPAQUE_OPS, Space, affine_nodes

M, N, W = 11, 14, 3
WINDOW = param(Param("and", "int32"))  # a name that isl's own parser would stumble over


def test_every_operation_is_affine_or_opaque() -> None:
    assert set(Op) == AFFINE_OPS | OPAQUE_OPS
    assert not AFFINE_OPS & OPAQUE_OPS


def space() -> Space:
    return Space(isl.Context(), [M_LEN, N_LEN, WINDOW], [Q_IDX, KV_IDX])


def points_of(cond: Expr) -> np.ndarray:
    """[M, N]: the points that the isl set holds, by asking isl for each."""
    here = space()
    sizes = make(Op.AND, make(Op.EQ, M_LEN, const(M)), make(Op.EQ, N_LEN, const(N)))
    fixed = make(Op.AND, sizes, make(Op.EQ, WINDOW, const(W)))
    box = make(Op.AND, make(Op.AND, make(Op.GE, Q_IDX, const(0)), make(Op.LT, Q_IDX, const(M))),
               make(Op.AND, make(Op.GE, KV_IDX, const(0)), make(Op.LT, KV_IDX, const(N))))  # fmt: skip
    found = np.zeros((M, N), np.bool_)

    def mark(point: isl.Point) -> None:
        q, kv = (point.get_coordinate_val(isl.dim_type.set, i).to_python() for i in range(2))
        found[q, kv] = True

    (here.set(cond) & here.set(fixed) & here.set(box)).project_out(isl.dim_type.param, 0, 3).foreach_point(mark)
    return found


def values_of(cond: Expr) -> np.ndarray:
    env = Env({"q": np.arange(M)[:, None], "kv": np.arange(N)}, {"M": M, "N": N, "B": 1}, {"and": W})
    return np.broadcast_to(evaluate(cond, env), (M, N))


NUMBERS = {
    "add": make(Op.ADD, Q_IDX, KV_IDX),
    "sub": make(Op.SUB, Q_IDX, make(Op.ADD, KV_IDX, WINDOW)),
    "mul": make(Op.SUB, make(Op.MUL, const(3), Q_IDX), make(Op.MUL, KV_IDX, const(-2))),
    "floordiv": make(Op.FLOORDIV, make(Op.SUB, Q_IDX, KV_IDX), const(4)),
    "floordiv, negative": make(Op.FLOORDIV, make(Op.SUB, Q_IDX, KV_IDX), const(-3)),
    "mod": make(Op.MOD, make(Op.SUB, Q_IDX, KV_IDX), const(5)),
    "mod, negative": make(Op.MOD, make(Op.SUB, Q_IDX, KV_IDX), const(-5)),
    "neg": make(Op.NEG, KV_IDX),
    "abs": make(Op.ABS, make(Op.SUB, Q_IDX, KV_IDX)),
    "min": make(Op.MIN, Q_IDX, make(Op.SUB, N_LEN, KV_IDX)),
    "max": make(Op.MAX, Q_IDX, make(Op.SUB, M_LEN, KV_IDX)),
    "where": make(Op.WHERE, make(Op.LT, Q_IDX, KV_IDX), const(7), Q_IDX),
    "int of bool": to_int(make(Op.LT, Q_IDX, KV_IDX)),
    "shift left": make(Op.SHL, KV_IDX, const(2)),
    "shift right": make(Op.SHR, make(Op.SUB, KV_IDX, Q_IDX), const(1)),
    "low bits": make(Op.BIT_AND, make(Op.SUB, KV_IDX, Q_IDX), const(3)),
    "all bits turned": make(Op.BIT_NOT, KV_IDX),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("op", [Op.LT, Op.LE, Op.GT, Op.GE, Op.EQ, Op.NE])
def test_numbers(name: str, op: Op) -> None:
    cond = make(op, NUMBERS[name], const(2))
    assert np.array_equal(points_of(cond), values_of(cond))


A, B, C = make(Op.LE, KV_IDX, Q_IDX), make(Op.EQ, make(Op.MOD, KV_IDX, const(3)), const(0)), make(Op.LT, Q_IDX, WINDOW)


@pytest.mark.parametrize(
    "cond",
    [TRUE, FALSE, make(Op.AND, A, B), make(Op.OR, A, B), make(Op.XOR, A, B), make(Op.NOT, B), make(Op.EQ, A, B),
     make(Op.NE, A, B), make(Op.WHERE, C, A, B)],
)  # fmt: skip
def test_logic(cond: Expr) -> None:
    assert np.array_equal(points_of(cond), values_of(cond))


TABLE = TensorRef("table", "int32", ("M",))


@pytest.mark.parametrize(
    "cond",
    [
        make(Op.LT, make(Op.MUL, Q_IDX, KV_IDX), const(5)),
        make(Op.LT, make(Op.FLOORDIV, Q_IDX, WINDOW), const(5)),
        make(Op.LT, make(Op.MOD, Q_IDX, const(0)), const(5)),
        make(Op.LT, make(Op.BIT_AND, Q_IDX, const(5)), const(5)),
        make(Op.LT, make(Op.SHL, const(1), Q_IDX), const(5)),
        make(Op.LT, load(TABLE, [Q_IDX]), const(5)),
        make(Op.LT, to_float(Q_IDX), const(5.0)),
    ],
)
def test_what_is_not_affine_is_known(cond: Expr) -> None:
    assert not affine_nodes(cond, ("q", "kv"))[cond]


def test_indices_that_are_no_dimension_are_not_affine() -> None:
    assert affine_nodes(A, ("q", "kv"))[A]
    assert not affine_nodes(A, ("kv",))[A]
