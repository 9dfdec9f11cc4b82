"""Constant folding and exact algebra in every expression; a mask that keeps everything disappears."""

from __future__ import annotations

from attngen.expr.build import SCORE, TRUE
from attngen.expr.simplify import simplify
from attngen.graph.node import AttentionGraph, AttentionOp


def fold_constants(graph: AttentionGraph) -> AttentionGraph:
    for node in list(graph.nodes):
        if node.expr is None:
            continue
        expr = simplify(node.expr)
        if (node.op is AttentionOp.MASK and expr is TRUE) or (node.op is AttentionOp.SCORE and expr is SCORE):
            graph = graph.remove(node)
        elif expr is not node.expr:
            graph = graph.replace(node, node.with_(expr=expr))
    return graph
