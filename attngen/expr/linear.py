"""Integer expressions as sums: which part depends on rows, on columns, on neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from attngen.expr.build import const, make
from attngen.expr.op import Expr, Op


@dataclass(frozen=True, slots=True)
class Sum:
    """constant + sum of coefficient * term, over terms that are not sums themselves."""

    terms: Mapping[Expr, int]
    constant: int


def as_sum(root: Expr) -> Sum:
    """Any integer expression as a `Sum` (at worst one term: itself)."""
    terms: dict[Expr, int] = {}
    constant = 0
    stack = [(root, 1)]
    while stack:
        node, factor = stack.pop()
        match node.op:
            case Op.CONST:
                constant += factor * int(node.value)
            case Op.ADD:
                stack += [(node.args[1], factor), (node.args[0], factor)]  # the left one is popped first
            case Op.SUB:
                stack += [(node.args[1], -factor), (node.args[0], factor)]
            case Op.NEG:
                stack.append((node.args[0], -factor))
            case Op.MUL if node.args[0].op is Op.CONST:
                stack.append((node.args[1], factor * int(node.args[0].value)))
            case Op.MUL if node.args[1].op is Op.CONST:
                stack.append((node.args[0], factor * int(node.args[1].value)))
            case _:
                terms[node] = terms.get(node, 0) + factor
    return Sum({term: factor for term, factor in terms.items() if factor}, constant)


def from_sum(value: Sum, keep: Callable[[Expr], bool] = lambda _: True, *, constant: bool = True) -> Expr:
    """The expression of the kept terms: positive ones first, so that ``a - b`` reads as written."""
    out: Expr | None = None
    kept = [(term, factor) for term, factor in value.terms.items() if keep(term)]
    for term, factor in sorted(kept, key=lambda item: item[1] < 0):
        size = term if abs(factor) == 1 else make(Op.MUL, const(abs(factor)), term)
        if out is None:
            out = size if factor > 0 else make(Op.NEG, size)
        else:
            out = make(Op.ADD if factor > 0 else Op.SUB, out, size)
    rest = value.constant if constant else 0
    if out is None:
        return const(rest)
    if rest:
        out = make(Op.ADD if rest > 0 else Op.SUB, out, const(abs(rest)))
    return out
