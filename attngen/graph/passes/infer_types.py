"""Shapes in letters (B, M, N) and numbers, and element types, from the operands to the stores."""

from __future__ import annotations

from attngen.graph.node import AttentionGraph, AttentionOp, Node


def infer_types(graph: AttentionGraph) -> AttentionGraph:
    """q [B, Hq, M, Dqk], k [B, Hkv, N, Dqk], v [B, Hkv, N, Dv] in the spec's dtype; scores and weights in fp32."""
    spec = graph.definition
    element = spec.dtype or "input"
    q_rows: tuple[str | int, ...] = ("B", spec.heads.q, "M")
    kv_rows: tuple[str | int, ...] = ("B", spec.heads.kv, "N")
    known: dict[str, tuple[tuple[str | int, ...], str]] = {
        "q": ((*q_rows, spec.head_dim.qk), element),
        "k": ((*kv_rows, spec.head_dim.qk), element),
        "v": ((*kv_rows, spec.head_dim.v), element),
        "pv": ((*q_rows, spec.head_dim.v), "fp32"),
        "out": ((*q_rows, spec.head_dim.v), element),
        "lse": (q_rows, "fp32"),
    }

    def typed(node: Node) -> Node:
        # everything between the two matmuls is a score a pair
        shape, dtype = known.get(node.name, ((*q_rows, "N"), "fp32"))
        return node.with_(shape=shape, dtype=dtype)

    for node in list(graph.nodes):
        assert node.op in AttentionOp
        graph = graph.replace(node, typed(node))
    return graph
