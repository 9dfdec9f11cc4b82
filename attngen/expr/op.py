"""Scalar expressions: one interned node class, one enum of operations.

An `Expr` is the value of a mask or score at one point (b, h, q, kv). Nodes are interned, so equal
expressions are one object, equality is identity, and shared sub-expressions are visible as such.
Expressions are always well typed: `attngen.expr.build` inserts the conversions.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Kind(Enum):
    """The three types of a scalar: bool, 32-bit integer, 32-bit float (float64 in the oracle)."""

    BOOL = "bool"
    INT = "int"
    FLOAT = "float"


class Op(Enum):
    """Every operation an expression may contain. The value is the name shown to people.

    Tables over this enum (printer, oracle, types, isl) are each tested to cover every member.
    """

    # leaves
    CONST = "const"  # value: bool | int | float
    INDEX = "index"  # value: "b" | "h" | "q" | "kv", raw indices as in FlexAttention
    LENGTH = "length"  # value: "B" | "M" | "N" (batch, query length, key length)
    PARAM = "param"  # value: Param
    SCORE = "score"  # the score before this step (at first: scale * q . k)
    LOAD = "load"  # value: TensorRef, args: one integer index a dimension
    SIZE = "size"  # value: (TensorRef, dim): the length of a dimension at the call
    NAMED = "named"  # value: Named: computed elsewhere in the kernel (hoisted values, tile numbers)
    # arithmetic; both sides have the same kind
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"  # floats
    FLOORDIV = "//"  # rounds to minus infinity, as in Python
    MOD = "%"  # has the sign of the divisor, as in Python
    NEG = "neg"
    ABS = "abs"
    MIN = "minimum"
    MAX = "maximum"
    # comparisons
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="
    # logic on bools
    AND = "&"
    OR = "|"
    XOR = "^"
    NOT = "~"
    # bits of integers
    BIT_AND = "bit_and"
    BIT_OR = "bit_or"
    BIT_XOR = "bit_xor"
    BIT_NOT = "bit_not"
    SHL = "<<"
    SHR = ">>"
    # choice and conversion
    WHERE = "where"  # (bool, x, x)
    TO_FLOAT = "float"  # bool | int -> float
    TO_INT = "int"  # bool | float -> int, towards zero
    # functions of floats
    FLOOR = "floor"
    CEIL = "ceil"
    EXP = "exp"
    EXP2 = "exp2"
    LOG = "log"
    LOG2 = "log2"
    LOG1P = "log1p"
    SQRT = "sqrt"
    RSQRT = "rsqrt"
    TANH = "tanh"
    SIGMOID = "sigmoid"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    ERF = "erf"


LEAVES = frozenset({Op.CONST, Op.INDEX, Op.LENGTH, Op.PARAM, Op.SCORE, Op.SIZE, Op.NAMED})
COMPARISONS = frozenset({Op.LT, Op.LE, Op.GT, Op.GE, Op.EQ, Op.NE})
FLIPPED = {Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE, Op.EQ: Op.EQ, Op.NE: Op.NE}
"""a op b is b FLIPPED[op] a."""
LOGIC = frozenset({Op.AND, Op.OR, Op.XOR, Op.NOT})
BITS = frozenset({Op.BIT_AND, Op.BIT_OR, Op.BIT_XOR, Op.BIT_NOT, Op.SHL, Op.SHR})
FLOAT_FUNCTIONS = frozenset(
    {
        Op.FLOOR, Op.CEIL, Op.EXP, Op.EXP2, Op.LOG, Op.LOG2, Op.LOG1P, Op.SQRT, Op.RSQRT,
        Op.TANH, Op.SIGMOID, Op.SIN, Op.COS, Op.TAN, Op.ERF,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Param:
    """A runtime scalar, declared in the spec and passed at the call. ``dtype``: int32 or float32."""

    name: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Derived:
    """How the launcher makes a tensor out of others at the call (O(length) work, no device sync).

    ``recipe`` is one of a fixed table (see `attngen.language.derived`); ``sources`` are the tensors
    it reads, ``options`` its constants.
    """

    recipe: str
    sources: tuple[TensorRef, ...]
    options: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor that an expression reads.

    ``shape`` has an integer, a letter of B, H, Hkv, M, N, or None (any size) per dimension.
    A dimension of size 1 broadcasts. ``captured``: bound in the spec (replaceable by name at the
    call), otherwise declared and passed at the call. ``derived``: made by the launcher.
    ``dtype`` is bool, int32, int64, fp32, fp16 or bf16.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]
    captured: bool = False
    derived: Derived | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)


@dataclass(frozen=True, slots=True)
class Named:
    """A value computed elsewhere in the kernel. ``axis``: tile (scalar), row, column, or both."""

    name: str
    kind: Kind
    axis: str = "tile"


class Expr:
    """An interned node: operation, operands in order, payload of leaves, kind of the result.

    Do not call the constructor: `attngen.expr.build` checks kinds and folds conversions.
    """

    __slots__ = ("op", "args", "value", "kind", "__weakref__")

    op: Op
    args: tuple[Expr, ...]
    value: Any
    kind: Kind

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Expr is immutable; build a new one instead of setting `{name}`")

    def __reduce__(self) -> tuple[Any, ...]:
        return intern, (self.op, self.args, self.value, self.kind)

    def __repr__(self) -> str:
        from attngen.expr.show import show

        return show(self)


_table: weakref.WeakValueDictionary[tuple[object, ...], Expr] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def _value_key(value: object) -> object:
    # 1, 1.0 and True are equal in Python, and so are 0.0 and -0.0: they are different constants here
    return (type(value).__name__, repr(value)) if isinstance(value, (bool, int, float)) else value


def intern(op: Op, args: tuple[Expr, ...], value: object, kind: Kind) -> Expr:
    """The one node with this content."""
    key = (op, args, _value_key(value), kind)
    with _lock:
        node = _table.get(key)
        if node is None:
            node = object.__new__(Expr)
            for name, field in (("op", op), ("args", args), ("value", value), ("kind", kind)):
                object.__setattr__(node, name, field)
            _table[key] = node
        return node


def walk(*roots: Expr) -> Iterator[Expr]:
    """Every distinct node once, operands before users (iterative: depth is no limit)."""
    seen: set[Expr] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, expanded = stack.pop()
        if node in seen:
            continue
        if expanded:
            seen.add(node)
            yield node
        else:
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args) if arg not in seen)


def leaves(root: Expr, op: Op) -> list[Expr]:
    """The distinct leaves of one kind, in order of first use."""
    return [node for node in walk(root) if node.op is op]


def tensors(*roots: Expr) -> list[TensorRef]:
    """The distinct tensors that the expressions load, in order of first use."""
    found: dict[TensorRef, None] = {}
    for node in walk(*roots):
        if node.op is Op.LOAD:
            found.setdefault(node.value)
    return list(found)
