"""Constructors of expressions: they check kinds and insert conversions, and do nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attngen.errors import ExpressionError
from attngen.expr.op import (
    BITS,
    COMPARISONS,
    FLOAT_FUNCTIONS,
    LOGIC,
    Expr,
    Kind,
    Named,
    Op,
    Param,
    TensorRef,
    intern,
    walk,
)

BOOL, INT, FLOAT = Kind.BOOL, Kind.INT, Kind.FLOAT


def const(value: bool | int | float) -> Expr:
    """A literal; its kind is that of the Python value."""
    if isinstance(value, bool):
        return intern(Op.CONST, (), value, BOOL)
    if isinstance(value, int):
        return intern(Op.CONST, (), value, INT)
    return intern(Op.CONST, (), float(value), FLOAT)


TRUE, FALSE = const(True), const(False)


def index(name: str) -> Expr:
    """b, h, q or kv: the raw index."""
    return intern(Op.INDEX, (), name, INT)


B_IDX, H_IDX, Q_IDX, KV_IDX = index("b"), index("h"), index("q"), index("kv")


def length(name: str) -> Expr:
    """B, M or N: the sizes at the call."""
    return intern(Op.LENGTH, (), name, INT)


M_LEN, N_LEN = length("M"), length("N")


def param(value: Param) -> Expr:
    return intern(Op.PARAM, (), value, INT if value.dtype == "int32" else FLOAT)


SCORE = intern(Op.SCORE, (), None, FLOAT)


def size(tensor: TensorRef, dim: int) -> Expr:
    return intern(Op.SIZE, (), (tensor, dim), INT)


def named(name: str, kind: Kind, axis: str = "tile") -> Expr:
    return intern(Op.NAMED, (), Named(name, kind, axis), kind)


def load(tensor: TensorRef, indices: Sequence[Expr]) -> Expr:
    """tensor[indices]; one integer a dimension."""
    if len(indices) != tensor.rank:
        raise ExpressionError(
            f"`{tensor.name}` has {tensor.rank} dimensions and is indexed with {len(indices)}",
            remedy="give one index a dimension",
        )
    for i, item in enumerate(indices):
        if item.kind is not INT:
            raise ExpressionError(f"index {i} of `{tensor.name}` is a {item.kind.value}", remedy="use an integer index")
    kind = BOOL if tensor.dtype == "bool" else INT if tensor.dtype.startswith("int") else FLOAT
    return intern(Op.LOAD, tuple(indices), tensor, kind)


def to_float(x: Expr) -> Expr:
    return x if x.kind is FLOAT else intern(Op.TO_FLOAT, (x,), None, FLOAT)


def to_int(x: Expr) -> Expr:
    return x if x.kind is INT else intern(Op.TO_INT, (x,), None, INT)


def to_bool(x: Expr) -> Expr:
    """x != 0, as torch's ``.bool()``."""
    return x if x.kind is BOOL else intern(Op.NE, (x, const(0) if x.kind is INT else const(0.0)), None, BOOL)


def as_kind(x: Expr, kind: Kind) -> Expr:
    return {BOOL: to_bool, INT: to_int, FLOAT: to_float}[kind](x)


def _common(a: Expr, b: Expr, least: Kind = INT) -> tuple[Expr, Expr, Kind]:
    order = [BOOL, INT, FLOAT]
    kind = max(a.kind, b.kind, least, key=order.index)
    return as_kind(a, kind), as_kind(b, kind), kind


def make(op: Op, *args: Expr) -> Expr:
    """The node ``op(args)``, with operands converted as torch's type promotion would."""
    if op in (Op.ADD, Op.SUB, Op.MUL, Op.FLOORDIV, Op.MOD, Op.MIN, Op.MAX):
        a, b, kind = _common(args[0], args[1])
        return intern(op, (a, b), None, kind)
    if op is Op.DIV:
        return intern(op, (to_float(args[0]), to_float(args[1])), None, FLOAT)
    if op in (Op.NEG, Op.ABS):
        x = args[0] if args[0].kind is not BOOL else to_int(args[0])
        return intern(op, (x,), None, x.kind)
    if op in COMPARISONS:
        a, b, _ = _common(args[0], args[1], BOOL)
        if a.kind is BOOL and op not in (Op.EQ, Op.NE):
            a, b = to_int(a), to_int(b)
        return intern(op, (a, b), None, BOOL)
    if op in LOGIC:
        return intern(op, tuple(to_bool(x) for x in args), None, BOOL)
    if op in BITS:
        for x in args:
            if x.kind is FLOAT:
                raise ExpressionError(f"`{op.value}` of a float", remedy="compare or convert to an integer first")
        return intern(op, tuple(to_int(x) for x in args), None, INT)
    if op is Op.WHERE:
        a, b, kind = _common(args[1], args[2], least=BOOL)
        return intern(op, (to_bool(args[0]), a, b), None, kind)
    if op is Op.TO_FLOAT:
        return to_float(args[0])
    if op is Op.TO_INT:
        return to_int(args[0])
    if op in FLOAT_FUNCTIONS:
        return intern(op, (to_float(args[0]),), None, FLOAT)
    raise AssertionError(f"{op} is a leaf: use its own constructor")


def rebuild(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """The same node over other operands."""
    if args == node.args:
        return node
    if node.op is Op.LOAD:
        return load(node.value, args)
    return make(node.op, *args)


def rewrite(root: Expr, rule: Callable[[Expr], Expr]) -> Expr:
    """Apply ``rule`` bottom-up, once at every node (its operands are rewritten already)."""
    done: dict[Expr, Expr] = {}
    for node in walk(root):
        done[node] = rule(rebuild(node, tuple(done[arg] for arg in node.args)))
    return done[root]


def substitute(root: Expr, values: Mapping[Expr, Expr]) -> Expr:
    """Replace whole sub-expressions; the replacements are not looked into."""
    done: dict[Expr, Expr] = dict(values)
    for node in walk(root):
        if node not in done:
            done[node] = rebuild(node, tuple(done[arg] for arg in node.args))
    return done[root]


def all_of(items: Sequence[Expr]) -> Expr:
    out = TRUE
    for item in items:
        out = item if out is TRUE else make(Op.AND, out, item)
    return out


def any_of(items: Sequence[Expr]) -> Expr:
    out = FALSE
    for item in items:
        out = item if out is FALSE else make(Op.OR, out, item)
    return out


def literal(value: Any) -> Expr:
    return value if isinstance(value, Expr) else const(value)
