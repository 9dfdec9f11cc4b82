"""What must hold between passes, as a table. A broken rule is a bug of the pass named in the error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import networkx as nx

from attngen.errors import GraphError
from attngen.expr.op import Expr, Kind, Op, walk
from attngen.graph.node import AttentionGraph, AttentionOp, Node

_OPERANDS: Mapping[AttentionOp, int] = {
    AttentionOp.LOAD: 0, AttentionOp.MATMUL: 2, AttentionOp.SCALE: 1, AttentionOp.SCORE: 1,
    AttentionOp.MASK: 1, AttentionOp.NORMALIZE: 1, AttentionOp.STORE: 1,
}  # fmt: skip

# Operations that a kernel has no instruction for and that `reduce_strength` must have rewritten.
REDUCED = frozenset({Op.TANH, Op.SIGMOID, Op.EXP, Op.TAN, Op.LOG1P})


def _acyclic(graph: AttentionGraph) -> bool:
    return bool(nx.is_directed_acyclic_graph(graph.nodes))


def _operand_counts(graph: AttentionGraph) -> bool:
    return all(
        sorted(key for _, _, key in graph.nodes.in_edges(node, keys=True)) == list(range(_OPERANDS[node.op]))
        for node in graph.nodes
    )


def _nodes_with(graph: AttentionGraph, *ops: AttentionOp) -> list[Node]:
    return [node for node in graph.nodes if node.op in ops]


def _expressions_typed(graph: AttentionGraph) -> bool:
    wanted = {AttentionOp.SCALE: Kind.FLOAT, AttentionOp.SCORE: Kind.FLOAT, AttentionOp.MASK: Kind.BOOL}
    return all(node.expr is not None and node.expr.kind is wanted[node.op] for node in graph.nodes if node.op in wanted)


def _score_only_in_score(graph: AttentionGraph) -> bool:
    return not any(
        leaf.op is Op.SCORE
        for node in _nodes_with(graph, AttentionOp.MASK, AttentionOp.SCALE)
        for leaf in walk(_expr(node))
    )


def _typed(graph: AttentionGraph) -> bool:
    return all(node.dtype and node.shape for node in graph.nodes)


def _parts_cover(graph: AttentionGraph) -> bool:
    return all(node.parts for node in _nodes_with(graph, AttentionOp.MASK))


def _scale_folded(graph: AttentionGraph) -> bool:
    return not _nodes_with(graph, AttentionOp.SCALE) and len(_nodes_with(graph, AttentionOp.SCORE)) == 1


def _strength_reduced(graph: AttentionGraph) -> bool:
    return not any(
        leaf.op in REDUCED
        for node in _nodes_with(graph, AttentionOp.SCORE, AttentionOp.MASK)
        for root in [_expr(node), *(item.expr for item in node.hoisted)]
        for leaf in walk(root)
    )


def _loads_guarded(graph: AttentionGraph) -> bool:
    known = dict(graph.needs)
    return all(
        leaf.value.shape[dim] == 1 or (leaf.value, dim) in known
        for node in _nodes_with(graph, AttentionOp.SCORE, AttentionOp.MASK)
        for root in [_expr(node), *(item.expr for item in node.hoisted)]
        for leaf in walk(root)
        if leaf.op is Op.LOAD
        for dim in range(leaf.value.rank)
    )


def _hoisted_defined(graph: AttentionGraph) -> bool:
    """Every NAMED leaf is a hoisted value of its own node, or one defined before it."""
    for node in _nodes_with(graph, AttentionOp.SCORE, AttentionOp.MASK):
        known: set[str] = {"q_start", "rows", "cols"}  # every kernel defines these
        for item in node.hoisted:
            if any(leaf.value.name not in known for leaf in walk(item.expr) if leaf.op is Op.NAMED):
                return False
            known.add(item.name)
        if any(leaf.value.name not in known for leaf in walk(_expr(node)) if leaf.op is Op.NAMED):
            return False
    return True


def _matched(graph: AttentionGraph) -> bool:
    return bool(graph.family)


def _expr(node: Node) -> Expr:
    assert node.expr is not None
    return node.expr


@dataclass(frozen=True, slots=True)
class Rule:
    """``holds`` from the end of pass ``since`` on ("build": always)."""

    name: str
    since: str
    holds: Callable[[AttentionGraph], bool]


RULES: tuple[Rule, ...] = (
    Rule("the graph has no cycle", "build", _acyclic),
    Rule("every operation has its operands in positions 0, 1, ...", "build", _operand_counts),
    Rule("scores are floats, masks are bools", "build", _expressions_typed),
    Rule("only score nodes read SCORE", "build", _score_only_in_score),
    Rule("every node has a shape and a dtype", "infer_types", _typed),
    Rule("every mask is split into classified parts", "split_mask", _parts_cover),
    Rule("scale lives in one score node", "fold_scale", _scale_folded),
    Rule("no operation without an instruction is left", "reduce_strength", _strength_reduced),
    Rule("every loaded dimension is proven, checked or clamped", "guard_loads", _loads_guarded),
    Rule("every named value is hoisted before its use", "hoist", _hoisted_defined),
    Rule("a template family is chosen", "match_template", _matched),
)


def check(graph: AttentionGraph, done: list[str]) -> None:
    """Raise GraphError naming the last pass and the first rule that it broke."""
    for rule in RULES:
        if rule.since in done and not rule.holds(graph):
            # not str(graph), which needs the very properties that may be broken
            nodes = "\n".join(
                f"  {node.name}: {node.op.value} {node.expr if node.expr is not None else ''}" for node in graph.nodes
            )
            raise GraphError(f"after `{done[-1]}`: {rule.name}\n{nodes}")
