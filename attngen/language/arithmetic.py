"""What no integer can hold and no division can give: refused in the spec, before it is a wrong number in a kernel."""

from __future__ import annotations

from attngen.errors import SpecError
from attngen.expr.op import Expr, Kind, Op, walk
from attngen.expr.show import show
from attngen.expr.simplify import FOLD, is_const, simplify

_LONGEST = 60


def checked_arithmetic(expr: Expr) -> Expr:
    """The expression itself. Raises SpecError for a divisor of 0, a shift beyond 0 to 31, constants beyond int32."""
    for node in walk(simplify(expr)):
        match node.op:
            case Op.DIV | Op.FLOORDIV | Op.MOD if is_const(node.args[1]) and node.args[1].value == 0:
                raise SpecError(f"`{_shown(node)}` divides by zero", remedy="divide by another number")
            case Op.SHL | Op.SHR if is_const(node.args[1]) and not 0 <= node.args[1].value < 32:
                raise SpecError(f"`{_shown(node)}` shifts out of 32 bits", remedy="shift by 0 to 31")
            case op if op in FOLD and node.kind is Kind.INT and all(is_const(arg) for arg in node.args):
                # what has a value in 32 bits was folded
                raise SpecError(f"`{_shown(node)}` has no value in int32", remedy="use smaller numbers, or floats")
    return expr


def _shown(node: Expr) -> str:
    text = show(node)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
