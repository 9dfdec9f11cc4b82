"""What torch's functions and tensor methods do to traced values: one table of elementwise ones, one of the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

from attngen.errors import TraceError
from attngen.expr.build import as_kind, const, make
from attngen.expr.op import Expr, Kind, Op
from attngen.language import functions as fn
from attngen.language.captured import Scalar, Session, Vector, View, refuse
from attngen.language.proxy import BINARY, UNARY, invert

Function = Callable[..., Any]


def _op(op: Op) -> Callable[..., Expr]:
    return partial(fn.apply, op)


def _log10(x: Expr) -> Expr:
    return fn.apply(Op.MUL, make(Op.LOG, x), const(1 / math.log(10)))


def _isnan(x: Expr) -> Expr:
    return fn.apply(Op.NE, x, x)


def _isinf(x: Expr) -> Expr:
    return fn.apply(Op.EQ, fn.apply(Op.ABS, x), const(math.inf))


def _reciprocal(x: Expr) -> Expr:
    return fn.apply(Op.DIV, const(1.0), x)


def _fmod(a: Expr, b: Expr) -> Expr:
    """The remainder with the sign of the dividend."""
    rest = fn.apply(Op.MOD, fn.apply(Op.ABS, a), fn.apply(Op.ABS, b))
    return fn.apply(Op.WHERE, fn.apply(Op.LT, a, const(0)), fn.apply(Op.NEG, rest), rest)


ELEMENTWISE: dict[str, Callable[..., Expr]] = {
    **UNARY, **BINARY,
    "absolute": UNARY["abs"], "negative": UNARY["neg"], "positive": UNARY["pos"],
    "exp": _op(Op.EXP), "exp2": _op(Op.EXP2), "special_exp2": _op(Op.EXP2), "log": _op(Op.LOG), "log2": _op(Op.LOG2),
    "log1p": _op(Op.LOG1P), "special_log1p": _op(Op.LOG1P), "log10": _log10,
    "sqrt": _op(Op.SQRT), "rsqrt": _op(Op.RSQRT),
    "tanh": _op(Op.TANH), "sigmoid": _op(Op.SIGMOID), "special_expit": _op(Op.SIGMOID),
    "sin": _op(Op.SIN), "cos": _op(Op.COS), "tan": _op(Op.TAN), "erf": _op(Op.ERF), "special_erf": _op(Op.ERF),
    "floor": fn.floor, "ceil": fn.ceil, "trunc": fn.truncate, "fix": fn.truncate, "round": fn.round_half_even,
    "sign": fn.sign, "sgn": fn.sign, "square": fn.square, "reciprocal": _reciprocal, "isnan": _isnan, "isinf": _isinf,
    "relu": fn.relu, "logsigmoid": fn.log_sigmoid,
    "log_sigmoid": fn.log_sigmoid,
    "logical_not": _op(Op.NOT), "bitwise_not": invert,
    "multiply": BINARY["mul"], "true_divide": BINARY["truediv"], "floor_divide": BINARY["floordiv"],
    "remainder": BINARY["mod"], "fmod": _fmod, "float_power": fn.power,
    "minimum": _op(Op.MIN), "maximum": _op(Op.MAX), "fmin": _op(Op.MIN), "fmax": _op(Op.MAX),
    "less": BINARY["lt"], "less_equal": BINARY["le"], "greater": BINARY["gt"], "greater_equal": BINARY["ge"],
    "not_equal": BINARY["ne"],
    "logical_and": _op(Op.AND), "logical_or": _op(Op.OR), "logical_xor": _op(Op.XOR),
    "bitwise_and": BINARY["and"], "bitwise_or": BINARY["or"], "bitwise_xor": BINARY["xor"],
    "bitwise_left_shift": BINARY["lshift"], "bitwise_right_shift": BINARY["rshift"],
    "clamp_min": _op(Op.MAX), "clamp_max": _op(Op.MIN),
}  # fmt: skip


def _where(s: Session, condition: Any, x: Any, y: Any) -> Any:
    return s.map(_op(Op.WHERE), condition, x, y)


def _masked_fill(s: Session, x: Any, mask: Any, value: Any) -> Any:
    return s.map(_op(Op.WHERE), mask, value, x)


def _clamp(s: Session, x: Any, min: Any = None, max: Any = None) -> Any:
    if min is not None:
        x = s.map(_op(Op.MAX), x, min)
    return x if max is None else s.map(_op(Op.MIN), x, max)


def _add(s: Session, x: Any, y: Any, *, alpha: Any = 1) -> Any:
    return s.map(BINARY["add"], x, y if alpha == 1 else s.map(BINARY["mul"], y, alpha))


def _sub(s: Session, x: Any, y: Any, *, alpha: Any = 1) -> Any:
    return s.map(BINARY["sub"], x, y if alpha == 1 else s.map(BINARY["mul"], y, alpha))


def _rsub(s: Session, x: Any, y: Any, *, alpha: Any = 1) -> Any:
    return _sub(s, y, x, alpha=alpha)


def _div(s: Session, x: Any, y: Any, *, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return s.map(BINARY["floordiv"], x, y)
    exact = s.map(BINARY["truediv"], x, y)
    return exact if rounding_mode is None else s.map(fn.truncate, exact)


def _gelu(s: Session, x: Any, approximate: str = "none") -> Any:
    return s.map(fn.gelu_tanh if approximate == "tanh" else fn.gelu, x)


def _silu(s: Session, x: Any, inplace: bool = False) -> Any:
    return s.map(fn.silu, x)


def _relu(s: Session, x: Any, inplace: bool = False) -> Any:
    return s.map(fn.relu, x)


def _leaky_relu(s: Session, x: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    return _where(s, s.map(BINARY["gt"], x, 0), x, s.map(BINARY["mul"], x, negative_slope))


def _softplus(s: Session, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return s.map(BINARY["truediv"], s.map(fn.softplus, s.map(BINARY["mul"], x, beta)), beta)


def _hardtanh(s: Session, x: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    return _clamp(s, x, min_val, max_val)


def _kind_of(dtype: Any, x: Any) -> Kind:
    name = getattr(dtype, "__name__", str(dtype)).removeprefix("torch.")
    if name == "bool":
        return Kind.BOOL
    if "float" in name or name in ("half", "double"):
        return Kind.FLOAT
    if name in ("int32", "int64", "int", "long"):
        return Kind.INT
    raise TraceError(f"a conversion to {dtype}", remedy="kernels compute in bool, int32 and float32: use one of these")


def _to(s: Session, x: Any, *args: Any, dtype: Any = None, **options: Any) -> Any:
    """``.to(dtype)``, ``.to(other)``, ``.to(device)``: conversions of kind; the rest changes nothing."""
    for item in args:
        if isinstance(item, (Scalar, Vector, View)):
            dtype = item.dtype
        elif str(item).startswith("torch.") or isinstance(item, type):
            dtype = item
    if dtype is None:
        return x
    kind = _kind_of(dtype, x)
    return s.map(lambda e: as_kind(e, kind), x)


def _as(kind: Kind) -> Function:
    return lambda s, x: s.map(lambda e: as_kind(e, kind), x)


def _same(s: Session, x: Any, *args: Any, **options: Any) -> Any:
    return x


def _constant(s: Session, value: Any, dtype: Any) -> Any:
    return s.map(lambda e: e if dtype is None else as_kind(e, _kind_of(dtype, value)), value)


def _tensor(s: Session, value: Any, *, dtype: Any = None, **options: Any) -> Any:
    return _constant(s, value, dtype)


def _filled(value: Any, like: bool) -> Function:
    def make_one(s: Session, x: Any, *size: Any, dtype: Any = None, **options: Any) -> Any:
        return _constant(s, value, dtype or (x.dtype if like else None))

    return make_one


def _full_like(s: Session, x: Any, fill_value: Any, *, dtype: Any = None, **options: Any) -> Any:
    return _constant(s, fill_value, dtype)


def _new_full(s: Session, x: Any, size: Any, fill_value: Any, *, dtype: Any = None, **options: Any) -> Any:
    return _constant(s, fill_value, dtype)


def _new_tensor(s: Session, x: Any, value: Any, *, dtype: Any = None, **options: Any) -> Any:
    return _constant(s, value, dtype)


def _unsqueeze(s: Session, x: Any, dim: int) -> Any:
    """A scalar beside itself: what comparing with a row of a captured tensor needs."""
    if not isinstance(x, Scalar):
        refuse("unsqueeze of a row", "index the tensor down to one dimension")
    return Vector(s, (x.expr,))


def row(s: Session, x: Any) -> tuple[Expr, ...]:
    items = s.items(x)
    return items if isinstance(items, tuple) else (items,)


def _reduction(op: Op) -> Function:
    def over(s: Session, x: Any, dim: Any = None, *, axis: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
        return s.scalar(reduce(_op(op), row(s, x)))

    return over


def _mean(s: Session, x: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None) -> Any:
    return s.map(BINARY["truediv"], _reduction(Op.ADD)(s, x), float(len(row(s, x))))


def _extreme(op: Op) -> Function:
    """``max(a, b)`` of two, or ``max(row)``."""

    def of(s: Session, x: Any, other: Any = None) -> Any:
        return _reduction(op)(s, x) if other is None else s.map(_op(op), x, other)

    return of


def _dot(s: Session, x: Any, y: Any) -> Any:
    return _reduction(Op.ADD)(s, s.map(BINARY["mul"], x, y))


def _stack(s: Session, values: Sequence[Any], dim: int = 0) -> Any:
    return Vector(s, tuple(item for value in values for item in row(s, value)))


def _getitem(s: Session, x: Any, key: Any) -> Any:
    return x[key] if isinstance(x, (View, Vector)) else s.view(x)[key]


def _select(s: Session, x: Any, dim: int, index: Any) -> Any:
    view = x if isinstance(x, View) else s.view(x)
    return view[(slice(None),) * (dim % len(view.open)) + (index,)]


SPECIAL: dict[str, Function] = {
    "where": _where, "masked_fill": _masked_fill, "clamp": _clamp, "clip": _clamp, "hardtanh": _hardtanh,
    "add": _add, "sub": _sub, "subtract": _sub, "rsub": _rsub, "div": _div, "divide": _div,
    "gelu": _gelu, "silu": _silu, "relu": _relu, "leaky_relu": _leaky_relu, "softplus": _softplus,
    "to": _to, "type": _to, "type_as": _to,
    "float": _as(Kind.FLOAT), "double": _as(Kind.FLOAT), "half": _as(Kind.FLOAT), "bfloat16": _as(Kind.FLOAT),
    "int": _as(Kind.INT), "long": _as(Kind.INT), "bool": _as(Kind.BOOL),
    "clone": _same, "detach": _same, "contiguous": _same, "squeeze": _same, "view": _same, "reshape": _same,
    "expand": _same, "expand_as": _same, "requires_grad_": _same,
    "tensor": _tensor, "as_tensor": _tensor, "scalar_tensor": _tensor,
    "ones_like": _filled(1, like=True), "zeros_like": _filled(0, like=True), "full_like": _full_like,
    "new_ones": _filled(1, like=True), "new_zeros": _filled(0, like=True), "new_full": _new_full,
    "new_tensor": _new_tensor,
    "unsqueeze": _unsqueeze, "stack": _stack, "dot": _dot, "inner": _dot, "vdot": _dot, "getitem": _getitem,
    "select": _select,
    "any": _reduction(Op.OR), "all": _reduction(Op.AND), "sum": _reduction(Op.ADD), "prod": _reduction(Op.MUL),
    "amax": _reduction(Op.MAX), "amin": _reduction(Op.MIN), "mean": _mean, "max": _extreme(Op.MAX),
    "min": _extreme(Op.MIN),
}  # fmt: skip
