"""The value of an expression, in NumPy: float64 and int64, by a table over `Op`. Nothing clever, nothing fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.expr.op import Expr, Kind, Op, TensorRef, walk

Array = npt.NDArray[Any]

_DTYPE: dict[Kind, type[np.generic]] = {Kind.BOOL: np.bool_, Kind.INT: np.int64, Kind.FLOAT: np.float64}
_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True)
class Env:
    """What the leaves of an expression stand for.

    ``index``: arrays for "b", "h", "q", "kv" that broadcast against each other; ``length``: "B", "M",
    "N"; ``params`` and ``named`` by name; ``score``: the score before this step; ``tensors``: an array
    for each tensor that is loaded, derived ones included.
    """

    index: Mapping[str, Array]
    length: Mapping[str, int]
    params: Mapping[str, int | float] = field(default_factory=dict)
    score: Array | None = None
    tensors: Mapping[TensorRef, Array] = field(default_factory=dict)
    named: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def dense(
        cls,
        batch: int,
        heads: int,
        m: int,
        n: int,
        *,
        params: Mapping[str, int | float] | None = None,
        score: Array | None = None,
        tensors: Mapping[TensorRef, Array] | None = None,
    ) -> Env:
        """Every point of [batch, heads, m, n]: the results broadcast to that shape."""
        index = {
            "b": np.arange(batch).reshape(-1, 1, 1, 1),
            "h": np.arange(heads).reshape(1, -1, 1, 1),
            "q": np.arange(m).reshape(1, 1, -1, 1),
            "kv": np.arange(n).reshape(1, 1, 1, -1),
        }
        return cls(index, {"B": batch, "M": m, "N": n}, params or {}, score, tensors or {})


def _load(tensor: Array, *indices: Array) -> Array:
    """tensor[indices], each index clamped into its dimension (so a dimension of size 1 broadcasts)."""
    if 0 in tensor.shape:
        return np.zeros(np.broadcast_shapes(*(i.shape for i in indices)), tensor.dtype)
    inside = [np.clip(i, 0, size - 1) for i, size in zip(indices, tensor.shape, strict=True)]
    return np.asarray(tensor[tuple(inside)])


LEAF: dict[Op, Callable[[Expr, Env], Any]] = {
    Op.CONST: lambda node, env: node.value,
    Op.INDEX: lambda node, env: env.index[node.value],
    Op.LENGTH: lambda node, env: env.length[node.value],
    Op.PARAM: lambda node, env: env.params[node.value.name],
    Op.SCORE: lambda node, env: env.score,
    Op.SIZE: lambda node, env: env.tensors[node.value[0]].shape[node.value[1]],
    Op.NAMED: lambda node, env: env.named[node.value.name],
}

RULE: dict[Op, Callable[..., Any]] = {
    Op.ADD: np.add,
    Op.SUB: np.subtract,
    Op.MUL: np.multiply,
    Op.DIV: np.divide,
    Op.FLOORDIV: np.floor_divide,
    Op.MOD: np.mod,
    Op.NEG: np.negative,
    Op.ABS: np.abs,
    Op.MIN: np.minimum,
    Op.MAX: np.maximum,
    Op.LT: np.less,
    Op.LE: np.less_equal,
    Op.GT: np.greater,
    Op.GE: np.greater_equal,
    Op.EQ: np.equal,
    Op.NE: np.not_equal,
    Op.AND: np.logical_and,
    Op.OR: np.logical_or,
    Op.XOR: np.logical_xor,
    Op.NOT: np.logical_not,
    Op.BIT_AND: np.bitwise_and,
    Op.BIT_OR: np.bitwise_or,
    Op.BIT_XOR: np.bitwise_xor,
    Op.BIT_NOT: np.invert,
    Op.SHL: np.left_shift,
    Op.SHR: np.right_shift,
    Op.WHERE: np.where,
    Op.TO_FLOAT: lambda x: x.astype(np.float64),
    Op.TO_INT: lambda x: np.trunc(x).astype(np.int64),
    Op.FLOOR: np.floor,
    Op.CEIL: np.ceil,
    Op.EXP: np.exp,
    Op.EXP2: np.exp2,
    Op.LOG: np.log,
    Op.LOG2: np.log2,
    Op.LOG1P: np.log1p,
    Op.SQRT: np.sqrt,
    Op.RSQRT: lambda x: 1.0 / np.sqrt(x),
    Op.TANH: np.tanh,
    Op.SIGMOID: lambda x: 1.0 / (1.0 + np.exp(-x)),
    Op.SIN: np.sin,
    Op.COS: np.cos,
    Op.TAN: np.tan,
    Op.ERF: _erf,
}


def evaluate(expr: Expr, env: Env) -> Array:
    """The expression at every point of the environment: bool, int64 or float64 by its kind.

    Each distinct node is computed once. Sizes are those of the leaves it reads: broadcast the result.
    """
    values: dict[Expr, Array] = {}
    with np.errstate(all="ignore"):  # where() computes both sides, so 1/0 on the other side is no news
        for node in walk(expr):
            if node.op in LEAF:
                value = LEAF[node.op](node, env)
            elif node.op is Op.LOAD:
                value = _load(env.tensors[node.value], *(values[arg] for arg in node.args))
            else:
                value = RULE[node.op](*(values[arg] for arg in node.args))
            values[node] = np.asarray(value).astype(_DTYPE[node.kind], copy=False)
    return values[expr]
