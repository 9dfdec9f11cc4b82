"""A scalar that writes down what is done to it: Python's operators on expressions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from attngen.errors import TraceError
from attngen.expr.build import FALSE, TRUE, const, make, to_int
from attngen.expr.op import Expr, Kind, Op
from attngen.language.functions import apply, power

_WHERE = "use torch.where(condition, a, b), and & | ~ between conditions"


class Traced:
    """Base of what a traced callable computes with. Anything that needs the value now is an error."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__: Any = None  # NumPy then leaves the operators to us

    def _needs_value(self, what: str, remedy: str) -> NoReturn:
        raise TraceError(f"{what}; it is known only inside the kernel", remedy=remedy)

    def __bool__(self) -> NoReturn:
        self._needs_value(
            "Python's `if`, `and`, `or`, `not`, `min`, `max` or a chain of comparisons needs the value of an index",
            f"{_WHERE}; torch.minimum and torch.maximum; (a <= x) & (x < b)",
        )

    def __index__(self) -> NoReturn:
        self._needs_value(
            "an index or score is used as a Python integer (a subscript of a list, range())",
            "capture a tensor and subscript that; loops need a constant count",
        )

    def __int__(self) -> NoReturn:
        self._needs_value("int() of an index or score", "use .to(torch.int32)")

    def __float__(self) -> NoReturn:
        self._needs_value(
            "float() or a function of `math` needs the value of an index or score", "use .float(), or torch's function"
        )

    def __len__(self) -> NoReturn:
        self._needs_value("len() of an index or score", "it is a scalar")

    def __iter__(self) -> NoReturn:
        self._needs_value("a loop over an index or score", "it is a scalar; loop over a constant range")

    def __contains__(self, item: object) -> NoReturn:
        self._needs_value("`in` on an index or score", "compare with each value and join with |")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        self._needs_value("a NumPy function is called on an index or score", "use the torch function of that name")


def lift(value: Any) -> Expr | None:
    """The expression of a proxy or a Python number; None for anything else."""
    if isinstance(value, Proxy):
        return value.expr
    if isinstance(value, (bool, int, float)):
        return const(value)
    if isinstance(value, np.generic):  # np.float32(3.0) is a constant like Python's
        return lift(value.item())
    return None


def logic(op: Op, bit_op: Op) -> Callable[[Expr, Expr], Expr]:
    """``&``, ``|`` or ``^``: logic between bools, bits as soon as one side is an integer."""

    def function(a: Expr, b: Expr) -> Expr:
        if a.kind is not Kind.BOOL or b.kind is not Kind.BOOL:
            return make(bit_op, a, b)
        neutral = {Op.AND: TRUE, Op.OR: FALSE, Op.XOR: FALSE}[op]
        return b if a is neutral else a if b is neutral else make(op, a, b)

    return function


def invert(x: Expr) -> Expr:
    """``~``: not, or the bits of an integer inverted."""
    return make(Op.NOT, x) if x.kind is Kind.BOOL else make(Op.BIT_NOT, x)


def _arithmetic(op: Op) -> Callable[[Expr, Expr], Expr]:
    return lambda a, b: apply(op, a, b)


BINARY: dict[str, Callable[[Expr, Expr], Expr]] = {
    "add": _arithmetic(Op.ADD),
    "sub": _arithmetic(Op.SUB),
    "mul": _arithmetic(Op.MUL),
    "truediv": _arithmetic(Op.DIV),
    "floordiv": _arithmetic(Op.FLOORDIV),
    "mod": _arithmetic(Op.MOD),
    "pow": power,
    "lt": _arithmetic(Op.LT),
    "le": _arithmetic(Op.LE),
    "gt": _arithmetic(Op.GT),
    "ge": _arithmetic(Op.GE),
    "eq": _arithmetic(Op.EQ),
    "ne": _arithmetic(Op.NE),
    "and": logic(Op.AND, Op.BIT_AND),
    "or": logic(Op.OR, Op.BIT_OR),
    "xor": logic(Op.XOR, Op.BIT_XOR),
    "lshift": lambda a, b: make(Op.SHL, a, b),
    "rshift": lambda a, b: make(Op.SHR, a, b),
}


def negative(x: Expr) -> Expr:
    """``-x``; of a literal, the negative literal."""
    literal = x.op is Op.CONST and not isinstance(x.value, bool)
    return const(-x.value) if literal else apply(Op.NEG, x)


UNARY: dict[str, Callable[[Expr], Expr]] = {
    "neg": negative,
    "pos": lambda x: x if x.kind is not Kind.BOOL else to_int(x),
    "abs": lambda x: apply(Op.ABS, x),
    "invert": invert,
}
# operators that Python also calls on the right operand: radd, rsub, ...
REFLECTED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift")


def _pair(name: str) -> tuple[Callable[[Operators, Any], Any], Callable[[Operators, Any], Any]]:
    rule = BINARY[name]
    return (
        lambda self, other: self._binary(rule, other, mirrored=False),
        lambda self, other: self._binary(rule, other, mirrored=True),
    )


def _single(name: str) -> Callable[[Operators], Any]:
    rule = UNARY[name]
    return lambda self: self._unary(rule)


class Operators(Traced):
    """Python's operators, each handed to `_binary` or `_unary` with its rule over expressions."""

    __slots__ = ()

    def _binary(self, rule: Callable[[Expr, Expr], Expr], other: Any, *, mirrored: bool) -> Any:
        raise NotImplementedError

    def _unary(self, rule: Callable[[Expr], Expr]) -> Any:
        raise NotImplementedError

    __add__, __radd__ = _pair("add")
    __sub__, __rsub__ = _pair("sub")
    __mul__, __rmul__ = _pair("mul")
    __truediv__, __rtruediv__ = _pair("truediv")
    __floordiv__, __rfloordiv__ = _pair("floordiv")
    __mod__, __rmod__ = _pair("mod")
    __pow__, __rpow__ = _pair("pow")
    __and__, __rand__ = _pair("and")
    __or__, __ror__ = _pair("or")
    __xor__, __rxor__ = _pair("xor")
    __lshift__, __rlshift__ = _pair("lshift")
    __rshift__, __rrshift__ = _pair("rshift")
    # comparisons are each other's mirror image in Python: `0 <= p` calls `p.__ge__(0)`
    __lt__, _ = _pair("lt")
    __le__, _ = _pair("le")
    __gt__, _ = _pair("gt")
    __ge__, _ = _pair("ge")
    __eq__, _ = _pair("eq")
    __ne__, _ = _pair("ne")
    __neg__, __pos__, __abs__, __invert__ = _single("neg"), _single("pos"), _single("abs"), _single("invert")


class Proxy(Operators):
    """One expression; ``p + 1``, ``p // 4``, ``p & q`` build larger ones."""

    __slots__ = ("expr",)

    def __init__(self, expr: Expr) -> None:
        self.expr = expr

    def __repr__(self) -> str:
        return f"<traced {self.expr}>"

    def _binary(self, rule: Callable[[Expr, Expr], Expr], other: Any, *, mirrored: bool) -> Any:
        value = lift(other)
        if value is None:
            return NotImplemented
        return Proxy(rule(value, self.expr) if mirrored else rule(self.expr, value))

    def _unary(self, rule: Callable[[Expr], Expr]) -> Any:
        return Proxy(rule(self.expr))
