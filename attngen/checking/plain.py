"""Plain PyTorch attention in the dtype of its inputs: the yardstick of the error-ratio policy, and a second
implementation of expressions, by a table of its own. Written as eager FlexAttention computes: the products
and the scale in the dtype, scores and softmax in fp32, probabilities back in the dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from attngen.expr.evaluate import Env
from attngen.expr.op import Expr, Kind, Op, TensorRef, walk
from attngen.language.definition import Definition, Softmax

Tensor = Any

TABLE: dict[Op, Callable[..., Any]] = {
    Op.ADD: torch.add, Op.SUB: torch.sub, Op.MUL: torch.mul, Op.DIV: torch.div,
    Op.FLOORDIV: lambda a, b: torch.div(a, b, rounding_mode="floor"), Op.MOD: torch.remainder,
    Op.NEG: torch.neg, Op.ABS: torch.abs, Op.MIN: torch.minimum, Op.MAX: torch.maximum,
    Op.LT: torch.lt, Op.LE: torch.le, Op.GT: torch.gt, Op.GE: torch.ge, Op.EQ: torch.eq, Op.NE: torch.ne,
    Op.AND: torch.logical_and, Op.OR: torch.logical_or, Op.XOR: torch.logical_xor, Op.NOT: torch.logical_not,
    Op.BIT_AND: torch.bitwise_and, Op.BIT_OR: torch.bitwise_or, Op.BIT_XOR: torch.bitwise_xor,
    Op.BIT_NOT: torch.bitwise_not, Op.SHL: torch.bitwise_left_shift, Op.SHR: torch.bitwise_right_shift,
    Op.WHERE: torch.where, Op.TO_FLOAT: lambda x: x.double(), Op.TO_INT: lambda x: torch.trunc(x.double()).long(),
    Op.FLOOR: torch.floor, Op.CEIL: torch.ceil, Op.EXP: torch.exp, Op.EXP2: torch.exp2, Op.LOG: torch.log,
    Op.LOG2: torch.log2, Op.LOG1P: torch.log1p, Op.SQRT: torch.sqrt, Op.RSQRT: torch.rsqrt, Op.TANH: torch.tanh,
    Op.SIGMOID: torch.sigmoid, Op.SIN: torch.sin, Op.COS: torch.cos, Op.TAN: torch.tan, Op.ERF: torch.erf,
}  # fmt: skip
_BOUNDED = frozenset({Op.TANH, Op.SIGMOID, Op.ERF})
_DTYPE = {Kind.BOOL: torch.bool, Kind.INT: torch.int64}


def _leaf(node: Expr, env: Env, score: Tensor | None) -> Any:
    match node.op:
        case Op.CONST:
            return node.value
        case Op.INDEX:
            return torch.from_numpy(env.index[node.value])
        case Op.LENGTH:
            return env.length[node.value]
        case Op.PARAM:
            return env.params[node.value.name]
        case Op.SIZE:
            return env.tensors[node.value[0]].shape[node.value[1]]
        case Op.SCORE:
            return score
        case _:
            return None


def evaluate(
    expr: Expr, env: Env, score: Tensor | None = None, wobble: float = 0.0, real: torch.dtype = torch.float32
) -> Tensor:
    """The expression in fp32 (or ``real``) and int64, over the leaves of the oracle's environment.

    ``wobble`` is added to the functions with values from -1 to 1: what an error in them does to the result.
    """
    values: dict[Expr, Tensor] = {}
    for node in walk(expr):
        args = [values[arg] for arg in node.args]
        if node.op is Op.LOAD:
            table = torch.from_numpy(env.tensors[node.value].copy())
            inside = [i.clamp(0, max(size - 1, 0)) for i, size in zip(args, table.shape, strict=True)]
            value = table[tuple(inside)] if table.numel() else torch.zeros((), dtype=table.dtype)
        elif node.op in TABLE:
            value = TABLE[node.op](*args)
            value = value + wobble if wobble and node.op in _BOUNDED else value
        else:
            value = _leaf(node, env, score)
        values[node] = torch.as_tensor(value).to(_DTYPE.get(node.kind, real))
    return values[expr]


def attention(definition: Definition, env: Env, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor | None]:
    """(out in q's dtype, lse in fp32 or fp64). ``env`` as from `attngen.oracle.environment`."""
    k, v = (x.repeat_interleave(definition.heads.group, dim=1) for x in (k, v))
    real = real_of(q)
    scale = float(evaluate(definition.scale, env, real=real))
    scores = ((q @ k.transpose(-1, -2)) * scale).to(real)
    probabilities, lse = _normalise(definition, env, scores)
    return probabilities.to(q.dtype) @ v, lse


def real_of(q: Tensor) -> torch.dtype:
    """What scores are computed in: fp64 for fp64, fp32 for everything else."""
    return torch.float64 if q.dtype == torch.float64 else torch.float32


def _normalise(definition: Definition, env: Env, scores: Tensor) -> tuple[Tensor, Tensor | None]:
    keep = evaluate(definition.mask, env)
    real = scores.dtype
    scores = torch.where(keep, evaluate(definition.score, env, scores, real=real), -torch.inf).expand(scores.shape)
    if not isinstance(definition.normalizer, Softmax):
        return torch.sigmoid(scores + evaluate(definition.normalizer.bias, env, real=real)), None
    sink = definition.normalizer.sink
    logits = scores
    if isinstance(sink, TensorRef):
        column = torch.from_numpy(env.tensors[sink].copy()).to(real).reshape(1, -1, 1, 1)
        logits = torch.cat([scores, column.expand(*scores.shape[:3], 1)], dim=-1)
    elif sink is not None:
        logits = torch.cat([scores, torch.full((*scores.shape[:3], 1), float(sink), dtype=real)], dim=-1)
    lse = torch.logsumexp(logits, dim=-1)
    probabilities = torch.where(lse[..., None] == -torch.inf, 0.0, torch.exp(scores - lse[..., None]))
    return probabilities, lse
