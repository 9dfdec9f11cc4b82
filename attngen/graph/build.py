"""Definition -> attention graph, as written: nothing is folded, hoisted or left out but the identity."""

from __future__ import annotations

from attngen.expr.build import SCORE, TRUE
from attngen.graph.node import AttentionGraph, AttentionOp, Node, graph_of
from attngen.language.definition import Definition, Softmax


def build_graph(definition: Definition) -> AttentionGraph:
    """load q, k, v -> q k^T -> scale -> score steps -> mask -> normalise -> times v -> store (and lse)."""
    q, k, v = (Node(name, AttentionOp.LOAD) for name in "qkv")
    logits = Node("qk", AttentionOp.MATMUL)
    scaled = Node("scale", AttentionOp.SCALE, expr=definition.scale)
    edges: list[tuple[Node, tuple[Node, ...]]] = [
        (q, ()), (k, ()), (v, ()), (logits, (q, k)), (scaled, (logits,)),
    ]  # fmt: skip
    last = scaled
    if definition.score is not SCORE:
        score = Node("score", AttentionOp.SCORE, expr=definition.score)
        edges.append((score, (last,)))
        last = score
    if definition.mask is not TRUE:
        mask = Node("mask", AttentionOp.MASK, expr=definition.mask)
        edges.append((mask, (last,)))
        last = mask
    softmax = isinstance(definition.normalizer, Softmax)
    weights = Node("softmax" if softmax else "sigmoid", AttentionOp.NORMALIZE)
    out = Node("pv", AttentionOp.MATMUL)
    edges += [(weights, (last,)), (out, (weights, v)), (Node("out", AttentionOp.STORE), (out,))]
    if softmax:
        edges.append((Node("lse", AttentionOp.STORE), (weights,)))
    return graph_of(edges, definition)
