"""Fold scale and log2(e) into the score, so that softmax runs on exp2 and the hot loop pays one multiply-add.

Real-number algebra, not bit-exact: constants meet in double precision and round once, where the naive
order rounds two or three times.
"""

from __future__ import annotations

import math

from attngen.expr.build import SCORE, const, make, substitute
from attngen.expr.op import Expr, Op, walk
from attngen.expr.simplify import is_const, simplify
from attngen.graph.node import AttentionGraph, AttentionOp, Node
from attngen.language.definition import Sigmoid

LOG2E = math.log2(math.e)


def fold_scale(graph: AttentionGraph) -> AttentionGraph:
    """Afterwards SCORE in the one score node means the raw dot product q . k, and ``base2`` says the unit."""
    scale, score = graph.get(AttentionOp.SCALE), graph.get(AttentionOp.SCORE)
    assert scale is not None and scale.expr is not None
    expr = SCORE if score is None or score.expr is None else score.expr
    expr = substitute(expr, {SCORE: make(Op.MUL, SCORE, scale.expr)})
    normalizer = graph.definition.normalizer
    if isinstance(normalizer, Sigmoid):
        expr = make(Op.ADD, expr, normalizer.bias)
    expr = times(_merge(expr), LOG2E)
    folded = Node("score", AttentionOp.SCORE, scale.shape, scale.dtype, expr=simplify(expr), base2=True)
    if score is not None:
        return graph.remove(scale).replace(score, folded)
    return graph.replace(scale, folded)


def times(node: Expr, factor: float) -> Expr:
    """factor * node, with the factor carried to where a constant can absorb it."""
    args = node.args
    match node.op:
        case Op.CONST:
            return const(float(node.value) * factor)
        case Op.NEG:
            return times(args[0], -factor)
        case Op.ADD | Op.SUB:
            return make(node.op, times(args[0], factor), times(args[1], factor))
        case Op.MUL if is_const(args[0]):
            return times(args[1], factor * args[0].value)
        case Op.MUL if is_const(args[1]):
            return times(args[0], factor * args[1].value)
        case Op.DIV if is_const(args[1]) and args[1].value != 0:
            return times(args[0], factor / args[1].value)
        case Op.DIV if is_const(args[0]):
            return make(Op.DIV, const(args[0].value * factor), args[1])
        case Op.WHERE:
            return make(Op.WHERE, args[0], times(args[1], factor), times(args[2], factor))
        case Op.MUL if _scores(args[1]) and not _scores(args[0]):
            return make(Op.MUL, args[0], times(args[1], factor))
        case Op.MUL if args[0] is not args[1]:
            return make(Op.MUL, times(args[0], factor), args[1])
        case _:
            return node if factor == 1.0 else make(Op.MUL, node, const(factor))


def _scores(node: Expr) -> bool:
    return any(leaf.op is Op.SCORE for leaf in walk(node))


def _merge(node: Expr) -> Expr:
    """Merge constant factors inside function arguments: tanh(dot * scale / cap) has one factor."""
    done: dict[Expr, Expr] = {}
    for item in walk(node):
        args = tuple(done[arg] for arg in item.args)
        new = item if not args or item.op is Op.LOAD else make(item.op, *args)
        if _scores(new) and new.op in (Op.MUL, Op.DIV, Op.NEG):
            new = times(new, 1.0)
        done[item] = new
    return done[node]
