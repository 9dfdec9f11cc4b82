"""Interval arithmetic over boxes contains every value of the box, for every operation."""

from __future__ import annotations

import numpy as np
import pytest

from attngen.expr.build import INT, KV_IDX, Q_IDX, const, load, make, to_float, to_int
from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import BITS, COMPARISONS, FLOAT_FUNCTIONS, LEAVES, LOGIC, Expr, Kind, Op, TensorRef
from attngen.tiling.boxes import SPAN, Boxes
from attngen.tiling.range_table import RangeTable

RNG = np.random.default_rng(0)
INTS = TensorRef("ints", "int32", (40, 40))
FLOATS = TensorRef("floats", "fp32", (40,))
BOOLS = TensorRef("bools", "bool", (40, 40))
ARRAYS = {
    INTS: RNG.integers(-9, 10, (40, 40)),
    FLOATS: np.where(RNG.random(40) < 0.05, np.nan, RNG.normal(size=40) * 3),
    BOOLS: RNG.random((40, 40)) < 0.5,
}


def test_every_operation_has_a_rule() -> None:
    assert set(Op) - LEAVES - {Op.LOAD} == set(SPAN)


def random_expr(rng: np.random.Generator, kind: Kind, depth: int) -> Expr:
    if depth == 0 or rng.random() < 0.1:
        match kind:
            case Kind.INT:
                leaf = rng.integers(4)
                return (Q_IDX, KV_IDX, const(int(rng.integers(-7, 8))), load(INTS, [Q_IDX, KV_IDX]))[leaf]
            case Kind.FLOAT:
                return (load(FLOATS, [KV_IDX]), const(float(rng.normal())), to_float(make(Op.SUB, Q_IDX, KV_IDX)))[
                    rng.integers(3)
                ]
            case Kind.BOOL:
                return (load(BOOLS, [Q_IDX, KV_IDX]), make(Op.LE, KV_IDX, Q_IDX))[rng.integers(2)]

    def part(of: Kind) -> Expr:
        return random_expr(rng, of, depth - 1)

    arithmetic = [Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.ABS, Op.MIN, Op.MAX, Op.WHERE]
    match kind:
        case Kind.BOOL:
            op = rng.choice([*sorted(COMPARISONS, key=str), *sorted(LOGIC, key=str), Op.WHERE])
            of = Kind.BOOL if op in LOGIC or op is Op.WHERE else (Kind.INT, Kind.FLOAT)[rng.integers(2)]
        case Kind.INT:
            op, of = rng.choice([*arithmetic, *sorted(BITS, key=str), Op.FLOORDIV, Op.MOD, Op.TO_INT, Op.LOAD]), kind
        case Kind.FLOAT:
            op, of = rng.choice([*arithmetic, *sorted(FLOAT_FUNCTIONS, key=str), Op.DIV, Op.TO_FLOAT]), kind
    if op is Op.LOAD:
        return load(INTS, [part(Kind.INT), Q_IDX])
    if op is Op.WHERE:
        return make(op, part(Kind.BOOL), part(of), part(of))
    if op is Op.TO_INT:
        return to_int(part(Kind.BOOL))
    if op is Op.TO_FLOAT:
        return to_float(part(Kind.INT))
    if op in (Op.SHL, Op.SHR):
        return make(op, part(Kind.INT), const(int(rng.integers(0, 5))))
    if op in (Op.FLOORDIV, Op.MOD):
        divisor = const(int(rng.choice([-5, -2, 1, 3, 8])))
        return make(op, part(of), divisor)
    single = op in FLOAT_FUNCTIONS or op in (Op.NEG, Op.ABS, Op.NOT, Op.BIT_NOT)
    return make(op, part(of)) if single else make(op, part(of), part(of))


@pytest.mark.parametrize("part", range(4))
def test_random_expressions(part: int) -> None:
    rng = np.random.default_rng(part)
    boxes = Boxes({"M": 40, "N": 40, "B": 1}, {}, ARRAYS)
    for _ in range(200):
        expr = random_expr(rng, (Kind.BOOL, Kind.INT, Kind.FLOAT)[rng.integers(3)], 3)
        low = rng.integers(0, 40, (2, 8))
        high = np.minimum(low + rng.integers(0, 12, (2, 8)), 39)
        least, greatest = boxes.evaluate(expr, {"q": (low[0], high[0]), "kv": (low[1], high[1])})
        least, greatest = np.broadcast_to(least, (8,)), np.broadcast_to(greatest, (8,))
        for i in range(8):
            index = {"q": np.arange(low[0, i], high[0, i] + 1)[:, None], "kv": np.arange(low[1, i], high[1, i] + 1)}
            with np.errstate(all="ignore"):
                inside = evaluate(expr, Env(index, {"M": 40, "N": 40, "B": 1}, {}, None, ARRAYS))
            inside = inside[~np.isnan(inside)] if inside.dtype.kind == "f" else inside
            if inside.size and np.abs(inside.astype(float)).max() < 2**31:
                assert least[i] <= inside.min(), expr
                assert inside.max() <= greatest[i], expr


def test_spans_of_single_points_are_exact_where_a_mask_needs_it() -> None:
    boxes = Boxes({"M": 40, "N": 40, "B": 1}, {}, ARRAYS)
    point = np.array([7]), np.array([7])
    for expr in (make(Op.MOD, Q_IDX, const(5)), make(Op.MUL, Q_IDX, Q_IDX), load(INTS, [Q_IDX, KV_IDX])):
        low, high = boxes.evaluate(expr, {"q": point, "kv": point})
        assert low == high


@pytest.mark.parametrize("ranged", [(True, True, False), (False, True, True), (True, False, False), (True, True, True)])
def test_range_table(ranged: tuple[bool, ...]) -> None:
    rng = np.random.default_rng(1)
    tensor = rng.normal(size=(5, 37, 20))
    table = RangeTable(tensor, ranged)
    low = [rng.integers(-2, size + 2, 100) for size in tensor.shape]
    more = [rng.integers(0, size, 100) * wide for size, wide in zip(tensor.shape, ranged, strict=True)]
    high = [a + b for a, b in zip(low, more, strict=True)]
    least, greatest = table.query(list(zip(low, high, strict=True)))
    for i in range(100):
        inside = tensor
        for dim in range(3):
            at = np.unique(np.clip(np.arange(low[dim][i], high[dim][i] + 1), 0, tensor.shape[dim] - 1))
            inside = np.take(inside, at, axis=dim)
        assert least[i] <= inside.min()
        assert inside.max() <= greatest[i]
        if inside.size == 1:
            assert least[i] == greatest[i] == inside.item()


def test_range_table_knows_that_a_nan_may_be_anything() -> None:
    table = RangeTable(np.array([1.0, np.nan, 2.0, 3.0]), (True,))
    low, high = table.query([(np.array([0, 0, 2, 1]), np.array([3, 0, 3, 1]))])
    assert (low[0], high[0]) == (-np.inf, np.inf)
    assert (low[1], high[1]) == (1.0, 1.0)
    assert low[2] == 2.0
    assert np.isnan(low[3])


def test_kind_of_integers() -> None:
    boxes = Boxes({"M": 3, "N": 3, "B": 1}, {}, {})
    low, high = boxes.evaluate(make(Op.ADD, Q_IDX, const(1)), {"q": (np.array([0]), np.array([2]))})
    assert (low.dtype, int(low[0]), int(high[0])) == (np.int64, 1, 3)
    assert Q_IDX.kind is INT
