"""Bring each expression into the form (column part) op (row part), so that `hoist` can move the parts out.

Masks: an integer comparison of sums, ``q - kv < W``, becomes ``kv > q - W`` (exact in integers).
Scores: a distance times a factor of the tile, ``slope * float(kv - q)`` (ALiBi), becomes a per-column plus
a per-row term. Both are measured from the first row of the tile, not from 0: the terms then are as small
as the distance itself and lose no accuracy at a million tokens.
"""

from __future__ import annotations

from attngen.expr.axis import Axis, axes
from attngen.expr.build import KV_IDX, Q_IDX, const, make, named, rewrite
from attngen.expr.linear import Sum, as_sum, from_sum
from attngen.expr.op import COMPARISONS, FLIPPED, Expr, Kind, Op
from attngen.expr.simplify import simplify
from attngen.graph.node import AttentionGraph, AttentionOp

Q_START = named("q_start", Kind.INT)
"""The first query of the tile: every kernel defines it."""


def separate(graph: AttentionGraph, *, row_heads: bool, precise: bool) -> AttentionGraph:
    mask, score = graph.get(AttentionOp.MASK), graph.get(AttentionOp.SCORE)
    if mask is not None and mask.expr is not None:
        graph = graph.replace(mask, mask.with_(expr=separate_mask(mask.expr, row_heads=row_heads)))
    assert score is not None and score.expr is not None
    if precise:
        return graph  # a sum of two rounded terms is not as near as the rounded distance: it would show in fp32
    return graph.replace(score, score.with_(expr=separate_score(score.expr, row_heads=row_heads)))


def separate_mask(root: Expr, *, row_heads: bool) -> Expr:
    def rule(node: Expr) -> Expr:
        if node.op not in COMPARISONS or node.args[0].kind is not Kind.INT:
            return node
        axis = axes(node, row_heads=row_heads)
        if axis[node] is not Axis.BOTH:
            return node
        total = as_sum(make(Op.SUB, *node.args))
        columns = [factor for term, factor in total.terms.items() if axis[term] is Axis.COLUMN]
        if not columns or any(axis[term] is Axis.BOTH for term in total.terms):
            return node
        # columns + rows op 0  ->  columns op -rows, with the first column term positive
        sign = 1 if columns[0] > 0 else -1
        terms = {term: sign * factor for term, factor in total.terms.items()}
        negated = Sum({term: -factor for term, factor in terms.items()}, -sign * total.constant)
        left = from_sum(Sum(terms, 0), lambda term: axis[term] is Axis.COLUMN)
        right = from_sum(negated, lambda term: axis[term] is not Axis.COLUMN)
        return make(node.op if sign > 0 else FLIPPED[node.op], left, right)

    # causal & window say the causal half twice: once apart, the two are one expression
    return simplify(rewrite(root, rule))


def separate_score(root: Expr, *, row_heads: bool) -> Expr:
    axis = axes(root, row_heads=row_heads)
    items = _summands(root, axis, row_heads)
    groups: dict[Axis, list[tuple[int, Expr]]] = {Axis.BOTH: [], Axis.ROW: [], Axis.COLUMN: []}
    for sign, item in items:
        where = axes(item, row_heads=row_heads)[item]
        # constants stay with the scores: cap - 2 cap / (1 + e) is small, and its parts are not
        groups[Axis.BOTH if where is Axis.TILE else where].append((sign, item))
    if not groups[Axis.BOTH] or not (groups[Axis.ROW] or groups[Axis.COLUMN]):
        return root
    out = _total(groups[Axis.BOTH])
    for where in (Axis.ROW, Axis.COLUMN):
        if groups[where]:
            out = make(Op.ADD, out, _total(groups[where]))
    return simplify(out)


def _total(items: list[tuple[int, Expr]]) -> Expr:
    ordered = sorted(items, key=lambda item: -item[0])
    sign, out = ordered[0]
    if sign < 0:
        out = make(Op.NEG, out)
    for sign, item in ordered[1:]:
        out = make(Op.ADD if sign > 0 else Op.SUB, out, item)
    return out


def _summands(node: Expr, axis: dict[Expr, Axis], row_heads: bool) -> list[tuple[int, Expr]]:
    """node as a signed sum, opened only where the parts lie on different axes."""
    match node.op:
        case Op.ADD:
            return _summands(node.args[0], axis, row_heads) + _summands(node.args[1], axis, row_heads)
        case Op.SUB:
            right = _summands(node.args[1], axis, row_heads)
            return _summands(node.args[0], axis, row_heads) + [(-sign, item) for sign, item in right]
        case Op.NEG:
            return [(-sign, item) for sign, item in _summands(node.args[0], axis, row_heads)]
        case Op.MUL if axis[node] is Axis.BOTH:
            for factor, other in (node.args, node.args[::-1]):
                parts = _summands(other, axis, row_heads)
                if axis[factor] is Axis.TILE and len(parts) > 1:
                    return [(sign, make(Op.MUL, factor, part)) for sign, part in parts]
        case Op.TO_FLOAT if axis[node] is Axis.BOTH and node.args[0].kind is Kind.INT:
            return _distance(node, axis)
    return [(1, node)]


def _distance(node: Expr, axis: dict[Expr, Axis]) -> list[tuple[int, Expr]]:
    """float(a kv - a q + rest) -> float(a (kv - start) + rest) - float(a (q - start)), both exact."""
    total = as_sum(node.args[0])
    a = total.terms.get(KV_IDX, 0)
    others = [term for term in total.terms if term not in (KV_IDX, Q_IDX)]
    if not a or total.terms.get(Q_IDX, 0) != -a or any(axis[term] & Axis.COLUMN for term in others):
        return [(1, node)]
    rows = [term for term in others if axis[term] is Axis.ROW]
    columns = from_sum(total, lambda term: term not in (KV_IDX, Q_IDX) and term not in rows)
    by_column = make(Op.ADD, make(Op.MUL, const(a), make(Op.SUB, KV_IDX, Q_START)), columns)
    by_row = make(Op.MUL, const(a), make(Op.SUB, Q_IDX, Q_START))
    for term in rows:
        by_row = make(Op.SUB, by_row, make(Op.MUL, const(total.terms[term]), term))
    return [(1, make(Op.TO_FLOAT, simplify(by_column))), (-1, make(Op.TO_FLOAT, simplify(by_row)))]
