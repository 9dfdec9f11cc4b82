"""Choose the template family by the shape of the graph, not by a flag."""

from __future__ import annotations

import dataclasses

import networkx as nx
from networkx.algorithms.isomorphism import categorical_node_match

from attngen.errors import UnsupportedError
from attngen.graph.node import AttentionGraph, AttentionOp


def _pattern(masked: bool, lse: bool) -> nx.MultiDiGraph:
    """softmax(mask(score(q k^T))) v, as a graph of kinds."""
    chain = ["score", "mask", "normalize"] if masked else ["score", "normalize"]
    out = nx.MultiDiGraph()
    out.add_nodes_from([("q", {"kind": "load"}), ("k", {"kind": "load"}), ("v", {"kind": "load"})])
    out.add_nodes_from([("qk", {"kind": "matmul"}), ("pv", {"kind": "matmul"}), ("out", {"kind": "store"})])
    out.add_nodes_from((name, {"kind": name}) for name in chain)
    out.add_edges_from([("q", "qk", 0), ("k", "qk", 1), ("qk", chain[0], 0), ("v", "pv", 1), ("pv", "out", 0)])
    out.add_edges_from((a, b, 0) for a, b in zip(chain, [*chain[1:], "pv"], strict=True))
    if lse:
        out.add_node("lse", kind="store")
        out.add_edge("normalize", "lse", 0)
    return out


def match_template(graph: AttentionGraph) -> AttentionGraph:
    masked, lse = graph.get(AttentionOp.MASK) is not None, any(node.name == "lse" for node in graph.nodes)
    if nx.is_isomorphic(graph.nodes, _pattern(masked, lse), node_match=categorical_node_match("kind", None)):
        return dataclasses.replace(graph, family="forward")
    raise UnsupportedError(
        "no template family computes this graph:\n" + str(graph),
        remedy="use softmax or sigmoid attention over q, k and v",
    )
