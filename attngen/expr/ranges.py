"""What is known of the sign and size of an integer expression, for all lengths.

q, kv, b and h start at 0 and stay below M, N, B and H; lengths and sizes of tensors are at least 1;
parameters and loads may be anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attngen.expr.build import const, length, make
from attngen.expr.linear import Sum, as_sum, from_sum
from attngen.expr.op import Expr, Kind, Op, walk

Bounds = tuple[int | None, int | None]

_FROM_ZERO = frozenset({"rows", "cols", "q_tile", "kv_tile", "q_start"})  # names of tile numbers and clamped indices
_LENGTH_OF = {"q": "M", "kv": "N", "b": "B", "h": "H"}
_UNKNOWN: Bounds = (None, None)


def bounds(root: Expr, facts: Iterable[Expr] = ()) -> Bounds:
    """(smallest, largest) value that an integer expression can take; None where there is no constant bound.

    ``facts`` are expressions that are known to be at least 0.
    """
    known = frozenset(facts)
    found: dict[Expr, Bounds] = {}
    for node in walk(root):
        found[node] = _bounds(node, [found[arg] for arg in node.args])
        if node.op in (Op.ADD, Op.SUB) and node.kind is Kind.INT:
            found[node] = _tighter(found[node], _of_sum(as_sum(node), found))
        if node in known:
            found[node] = _tighter(found[node], (0, None))
    return found[root]


def nonnegative(root: Expr, facts: Iterable[Expr] = ()) -> bool:
    """True only if the expression is proven to be at least 0."""
    low, _ = bounds(root, facts)
    return low is not None and low >= 0


def upper_bound(root: Expr) -> Expr | None:
    """An inclusive upper bound in M, N, B and H, or None: kv // 64 -> (N - 1) // 64."""
    _, high = bounds(root)
    if high is not None:
        return const(high)
    match root.op:
        case Op.INDEX:
            return make(Op.SUB, length(_LENGTH_OF[root.value]), const(1))
        case Op.LENGTH | Op.SIZE:
            return root
        case Op.ADD | Op.SUB | Op.MUL | Op.NEG:
            return _upper_sum(root)
        case Op.FLOORDIV if _positive_constant(root.args[1]):
            part = upper_bound(root.args[0])
            return None if part is None else make(Op.FLOORDIV, part, root.args[1])
        case Op.MOD if nonnegative(make(Op.SUB, root.args[1], const(1))):
            part = upper_bound(root.args[1])
            return None if part is None else make(Op.SUB, part, const(1))
        case Op.MAX | Op.WHERE:
            parts = [upper_bound(arg) for arg in root.args[-2:]]
            known = [part for part in parts if part is not None]
            return make(Op.MAX, *known) if len(known) == 2 else None
        case Op.MIN:
            return next((part for part in map(upper_bound, root.args) if part is not None), None)
        case _:
            return None


def _upper_sum(root: Expr) -> Expr | None:
    total = as_sum(root)
    if total.terms == {root: 1}:
        return None  # a product of two variables
    terms: dict[Expr, int] = {}
    constant = total.constant
    for term, factor in total.terms.items():
        if factor < 0:
            low, _ = bounds(term)
            if term.op is Op.LENGTH:
                terms[term] = terms.get(term, 0) + factor
            elif low is None:
                return None
            else:
                constant += factor * low
            continue
        high = upper_bound(term)
        if high is None:
            return None
        part = as_sum(high)
        constant += factor * part.constant
        for leaf, count in part.terms.items():
            terms[leaf] = terms.get(leaf, 0) + factor * count
    return from_sum(Sum({term: factor for term, factor in terms.items() if factor}, constant))


def _of_sum(total: Sum, found: Mapping[Expr, Bounds]) -> Bounds:
    """Bounds of a sum, in which an index never exceeds its own length: M - 1 - q is at least 0."""
    terms, shift = dict(total.terms), 0
    for term, factor in total.terms.items():
        if term.op is not Op.INDEX or factor > 0:
            continue
        own = length(_LENGTH_OF[term.value])
        # -q >= -(M - 1), as far as there is an M to take it from
        covered = min(-factor, max(terms.get(own, 0), 0))
        if covered == -factor:
            del terms[term]
            terms[own] -= covered
            shift += covered
    low: int | None = total.constant + shift
    for term, factor in terms.items():
        if factor == 0:
            continue
        end = found.get(term, bounds(term))[0 if factor > 0 else 1]
        low = None if low is None or end is None else low + factor * end
    return low, None


def _tighter(a: Bounds, b: Bounds) -> Bounds:
    lows, highs = [x for x in (a[0], b[0]) if x is not None], [x for x in (a[1], b[1]) if x is not None]
    return max(lows, default=None), min(highs, default=None)


def _positive_constant(node: Expr) -> bool:
    return node.op is Op.CONST and node.kind is Kind.INT and node.value > 0


def _bounds(node: Expr, args: list[Bounds]) -> Bounds:
    match node.op:
        case Op.CONST:
            return (int(node.value), int(node.value)) if node.kind is not Kind.FLOAT else _UNKNOWN
        case Op.INDEX:
            return 0, None
        case Op.LENGTH | Op.SIZE:
            return 1, None
        case Op.NAMED:
            return (0 if node.value.name in _FROM_ZERO else None), None
        case Op.TO_INT:
            return (0, 1) if node.args[0].kind is Kind.BOOL else _UNKNOWN
    return _UNKNOWN if node.kind is not Kind.INT else _of_operands(node, args)


def _of_operands(node: Expr, args: list[Bounds]) -> Bounds:
    (low, high), (low2, high2) = args[0] if args else _UNKNOWN, args[1] if len(args) > 1 else _UNKNOWN
    match node.op:
        case Op.ADD:
            return _sum(low, low2), _sum(high, high2)
        case Op.SUB:
            return _sum(low, _minus(high2)), _sum(high, _minus(low2))
        case Op.NEG:
            return _minus(high), _minus(low)
        case Op.MUL:
            return _product((low, high), (low2, high2))
        case Op.FLOORDIV if low2 is not None and low2 > 0:
            # towards 0 for a larger divisor; a constant divisor is exact
            by = low2 if low2 == high2 else None
            least = low // by if low is not None and by else 0 if low is not None and low >= 0 else None
            most = high // by if high is not None and by else high if high is not None and high >= 0 else None
            return least, most
        case Op.MOD if low2 is not None and low2 > 0:
            most = None if high2 is None else high2 - 1
            return 0, (most if high is None or low is None or low < 0 else high if most is None else min(most, high))
        case Op.ABS:
            ends = (low, high)
            return 0, (None if low is None or high is None else max(abs(end) for end in ends if end is not None))
        case Op.MIN:
            return (None if low is None or low2 is None else min(low, low2)), _tighter((None, high), (None, high2))[1]
        case Op.MAX:
            return _tighter((low, None), (low2, None))[0], (None if high is None or high2 is None else max(high, high2))
        case Op.WHERE:
            (low, high), (low2, high2) = args[1], args[2]
            least = None if low is None or low2 is None else min(low, low2)
            return least, (None if high is None or high2 is None else max(high, high2))
        case Op.BIT_AND:
            tops = [top for least, top in args if least is not None and least >= 0 and top is not None]
            if any(least is not None and least >= 0 for least, _ in args):
                return 0, min(tops, default=None)
        case Op.SHR if low is not None and low >= 0:
            return 0, high
    return _UNKNOWN


def _product(a: Bounds, b: Bounds) -> Bounds:
    if None not in a and None not in b:
        corners = [x * y for x in a for y in b if x is not None and y is not None]
        return min(corners), max(corners)
    (low, high), (low2, high2) = a, b
    if low is not None and low >= 0 and low2 is not None and low2 >= 0:
        return low * low2, None
    if low2 == high2 and low2 is not None and low2 < 0:
        return (None if high is None else low2 * high), (None if low is None else low2 * low)
    if low == high and low is not None and low < 0:
        return (None if high2 is None else low * high2), (None if low2 is None else low * low2)
    if low2 == high2 and low2 is not None and low2 >= 0:
        return (None if low is None else low2 * low), (None if high is None else low2 * high)
    if low == high and low is not None and low >= 0:
        return (None if low2 is None else low * low2), (None if high2 is None else low * high2)
    return _UNKNOWN


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _minus(a: int | None) -> int | None:
    return None if a is None else -a
