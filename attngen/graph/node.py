"""The attention graph: frozen nodes in a networkx multigraph; an edge's key is the operand position.

(A plain DiGraph would merge the two edges of ``x * x``.) Scalar expressions hang on score and mask nodes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import Enum

import networkx as nx

from attngen.expr.op import Expr, TensorRef
from attngen.language.definition import Definition


class AttentionOp(Enum):
    """The level above scalars: what happens to whole tensors."""

    LOAD = "load"
    MATMUL = "matmul"
    SCALE = "scale"
    SCORE = "score"
    MASK = "mask"
    NORMALIZE = "normalize"
    STORE = "store"


class MaskClass(Enum):
    """What the tile schedule can know about a conjunct of the mask."""

    AFFINE = "affine"  # an integer set in q, kv, lengths and parameters
    DATA = "data"  # affine once the values of its rows are known (lengths, documents, windows a head)
    OPAQUE = "opaque"  # anything else: never skips a tile by algebra


@dataclass(frozen=True, slots=True)
class MaskPart:
    expr: Expr
    mask_class: MaskClass


@dataclass(frozen=True, slots=True)
class Hoisted:
    """A value computed outside the tile: once a query tile (tile, row) or once a key tile (column)."""

    name: str
    expr: Expr
    axis: str


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. ``shape`` is in letters and numbers, ``dtype`` the element type; both come from `infer_types`.

    ``expr`` of a score node is a function of SCORE, of a mask node a bool. ``hoisted`` are values that
    ``expr`` names. ``base2``: the scores are in units of log2(e), so that exp becomes exp2.
    """

    name: str
    op: AttentionOp
    shape: tuple[str | int, ...] = ()
    dtype: str = ""
    expr: Expr | None = None
    parts: tuple[MaskPart, ...] = ()
    hoisted: tuple[Hoisted, ...] = ()
    base2: bool = False

    def with_(self, **changes: object) -> Node:
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]  # the names are checked by dataclasses


@dataclass(frozen=True, slots=True)
class AttentionGraph:
    """A graph and the definition it came from. Passes return new ones.

    ``needs``: (tensor, dimension) -> lengths that the launcher must find there (see `attngen.graph.guard`).
    ``family``: the template family that computes it.
    """

    nodes: nx.MultiDiGraph
    definition: Definition
    needs: tuple[tuple[tuple[TensorRef, int], tuple[Expr, ...]], ...] = ()
    family: str = ""

    def __getitem__(self, name: str) -> Node:
        found: Node = next(node for node in self.nodes if node.name == name)
        return found

    def get(self, op: AttentionOp) -> Node | None:
        """The one node of this operation, or None where the variant has none."""
        return next((node for node in self.nodes if node.op is op), None)

    def operands(self, node: Node) -> tuple[Node, ...]:
        edges = sorted(self.nodes.in_edges(node, keys=True), key=lambda edge: edge[2])
        return tuple(source for source, _, _ in edges)

    def replace(self, old: Node, new: Node) -> AttentionGraph:
        out = nx.relabel_nodes(self.nodes, {old: new}, copy=True)
        out.nodes[new].update(_attributes(new))
        return dataclasses.replace(self, nodes=out)

    def remove(self, node: Node) -> AttentionGraph:
        """Take out a node with one operand; its users read the operand instead."""
        (operand,) = self.operands(node)
        out = self.nodes.copy()
        for _, user, key in list(out.out_edges(node, keys=True)):
            out.add_edge(operand, user, key=key)
        out.remove_node(node)
        return dataclasses.replace(self, nodes=out)

    def __str__(self) -> str:
        lines = []
        for node in nx.topological_sort(self.nodes):
            shape = f"[{', '.join(map(str, node.shape))}] {node.dtype}" if node.shape else ""
            inputs = ", ".join(operand.name for operand in self.operands(node))
            lines.append(f"{node.name:<10} = {node.op.value}({inputs})  {shape}".rstrip())
            lines += [f"    {item.name} = {item.expr}    once a {_ONCE[item.axis]}" for item in node.hoisted]
            if node.expr is not None:
                lines.append(f"    {node.expr}")
            lines += [f"    {part.mask_class.value:>8}: {part.expr}" for part in node.parts]
        return "\n".join(lines)


_ONCE = {"tile": "query tile", "row": "row", "column": "key"}


def _attributes(node: Node) -> dict[str, str]:
    return {"label": node.name, "kind": node.op.value}


def graph_of(edges: list[tuple[Node, tuple[Node, ...]]], definition: Definition) -> AttentionGraph:
    """A graph from (node, its operands in order)."""
    out = nx.MultiDiGraph()
    for node, operands in edges:
        out.add_node(node, **_attributes(node))
        for position, operand in enumerate(operands):
            out.add_edge(operand, node, key=position)
    return AttentionGraph(out, definition)
