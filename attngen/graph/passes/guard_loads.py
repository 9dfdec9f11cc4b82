"""Keep every load of a score or mask inside its tensor (see `attngen.graph.guard`)."""

from __future__ import annotations

import dataclasses

from attngen.expr.simplify import simplify
from attngen.graph.guard import Guard
from attngen.graph.node import AttentionGraph, AttentionOp


def guard_loads(graph: AttentionGraph) -> AttentionGraph:
    guard = Guard()
    for op in (AttentionOp.SCORE, AttentionOp.MASK):
        node = graph.get(op)
        if node is not None and node.expr is not None:
            graph = graph.replace(node, node.with_(expr=simplify(guard(node.expr))))
    return dataclasses.replace(graph, needs=tuple(guard.needs.items()))
