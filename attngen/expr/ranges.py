"""What is known of the sign and size of an integer expression, for all lengths.

q, kv, b and h start at 0; M, N and B and sizes of tensors are at least 1; parameters may be anything.
"""

from __future__ import annotations

from attngen.expr.build import const, length, make
from attngen.expr.op import Expr, Op, walk

_STARTS_AT = {Op.INDEX: 0, Op.LENGTH: 1, Op.SIZE: 1}
_NAMED_FROM_ZERO = frozenset({"rows", "cols", "q_tile", "kv_tile", "q_start"})
_LENGTH_OF = {"q": "M", "kv": "N", "b": "B", "h": "H"}


def bounds(root: Expr) -> tuple[int | None, int | None]:
    """(smallest, largest) value that an integer expression can take; None where there is no constant bound."""
    found: dict[Expr, tuple[int | None, int | None]] = {}
    for node in walk(root):
        found[node] = _bounds(node, [found[arg] for arg in node.args])
    return found[root]


def _bounds(node: Expr, args: list[tuple[int | None, int | None]]) -> tuple[int | None, int | None]:
    lows, highs = [low for low, _ in args], [high for _, high in args]
    match node.op:
        case Op.CONST:
            return (int(node.value), int(node.value)) if isinstance(node.value, int) else (None, None)
        case Op.INDEX | Op.LENGTH | Op.SIZE:
            return _STARTS_AT[node.op], None
        case Op.NAMED:
            return (0 if node.value.name in _NAMED_FROM_ZERO else None), None
        case Op.ADD:
            return _sum(lows[0], lows[1]), _sum(highs[0], highs[1])
        case Op.SUB:
            return _sum(lows[0], _minus(highs[1])), _sum(highs[0], _minus(lows[1]))
        case Op.NEG:
            return _minus(highs[0]), _minus(lows[0])
        case Op.MUL:
            if None not in (*lows, *highs):
                corners = [a * b for a in args[0] for b in args[1]]  # type: ignore[operator]
                return min(corners), max(corners)
            return (0 if all(low is not None and low >= 0 for low in lows) else None), None
        case Op.FLOORDIV if node.args[1].op is Op.CONST and node.args[1].value > 0:
            by = node.args[1].value
            return (None if lows[0] is None else lows[0] // by), (None if highs[0] is None else highs[0] // by)
        case Op.MOD if node.args[1].op is Op.CONST and node.args[1].value > 0:
            return 0, node.args[1].value - 1
        case Op.MOD if lows[1] is not None and lows[1] > 0:
            return 0, (None if highs[1] is None else highs[1] - 1)
        case Op.MIN:
            least = None if None in lows else min(lows)  # type: ignore[type-var]
            known = [high for high in highs if high is not None]
            return least, min(known, default=None)
        case Op.MAX:
            most = None if None in highs else max(highs)  # type: ignore[type-var]
            known = [low for low in lows if low is not None]
            return max(known, default=None), most
        case Op.ABS:
            return 0, None
        case Op.WHERE:
            low = None if None in lows[1:] else min(lows[1:])  # type: ignore[type-var]
            return low, (None if None in highs[1:] else max(highs[1:]))  # type: ignore[type-var]
        case Op.TO_INT if node.args[0].kind.value == "bool":
            return 0, 1
        case Op.BIT_AND if any(low is not None and low >= 0 for low in lows):
            return 0, min((high for low, high in args if low is not None and low >= 0 and high is not None), default=None)
        case Op.SHR if lows[0] is not None and lows[0] >= 0:
            return 0, highs[0]
        case _:
            return None, None


def nonnegative(root: Expr) -> bool:
    """True only if the expression is proven to be at least 0."""
    low, _ = bounds(root)
    return low is not None and low >= 0


def upper_bound(root: Expr) -> Expr | None:
    """An inclusive upper bound in M, N, B and H, or None: kv // 64 -> (N - 1) // 64."""
    _, high = bounds(root)
    if high is not None:
        return const(high)
    match root.op:
        case Op.INDEX:
            return make(Op.SUB, length(_LENGTH_OF[root.value]), const(1))
        case Op.LENGTH:
            return root
        case Op.ADD:
            parts = [upper_bound(arg) for arg in root.args]
            return None if None in parts else make(Op.ADD, *parts)  # type: ignore[arg-type]
        case Op.SUB:
            left, low = upper_bound(root.args[0]), bounds(root.args[1])[0]
            return None if left is None or low is None else make(Op.SUB, left, const(low))
        case Op.FLOORDIV if root.args[1].op is Op.CONST and root.args[1].value > 0:
            part = upper_bound(root.args[0])
            return None if part is None else make(Op.FLOORDIV, part, root.args[1])
        case Op.MUL if root.args[1].op is Op.CONST and root.args[1].value > 0:
            part = upper_bound(root.args[0])
            return None if part is None else make(Op.MUL, part, root.args[1])
        case Op.MAX:
            parts = [upper_bound(arg) for arg in root.args]
            return None if None in parts else make(Op.MAX, *parts)  # type: ignore[arg-type]
        case Op.MIN:
            return next((part for part in map(upper_bound, root.args) if part is not None), None)
        case _:
            return None


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _minus(a: int | None) -> int | None:
    return None if a is None else -a
