"""Split a mask into its conjuncts and say of each what the tile schedule can know of it."""

from __future__ import annotations

from attngen.expr.axis import Axis, axes
from attngen.expr.op import COMPARISONS, LOGIC, Expr, Kind, Op, walk
from attngen.graph.node import AttentionGraph, AttentionOp, MaskClass, MaskPart

_INTEGER_OPS = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.FLOORDIV, Op.MOD, Op.MIN, Op.MAX, Op.ABS, Op.WHERE})


def split_mask(graph: AttentionGraph) -> AttentionGraph:
    node = graph.get(AttentionOp.MASK)
    if node is None or node.expr is None:
        return graph
    parts = tuple(MaskPart(expr, classify(expr)) for expr in conjuncts(node.expr))
    return graph.replace(node, node.with_(parts=parts))


def conjuncts(mask: Expr) -> list[Expr]:
    if mask.op is Op.AND:
        return conjuncts(mask.args[0]) + conjuncts(mask.args[1])
    return [mask]


def classify(part: Expr) -> MaskClass:
    """AFFINE without loads, DATA with loads of whole rows only (or ids compared with ids), else OPAQUE."""
    axis = axes(part, row_heads=False)
    found = MaskClass.AFFINE
    documents = {arg for node in walk(part) if _same_tensor(node) for arg in node.args}
    for node in walk(part):
        if node.op is Op.LOAD:
            if axis[node] & Axis.COLUMN and node not in documents:
                return MaskClass.OPAQUE
            found = MaskClass.DATA
        elif node.args and not _affine_form(node, axis):
            return MaskClass.OPAQUE
    return found


def _same_tensor(node: Expr) -> bool:
    return node.op is Op.EQ and all(arg.op is Op.LOAD for arg in node.args) and node.args[0].value == node.args[1].value


def _affine_form(node: Expr, axis: dict[Expr, Axis]) -> bool:
    if all(axis[arg] is Axis.TILE for arg in node.args):
        return True
    match node.op:
        case op if op in LOGIC:
            return True
        case op if op in COMPARISONS:
            return all(arg.kind is not Kind.FLOAT for arg in node.args)
        case Op.FLOORDIV | Op.MOD:
            return node.kind is Kind.INT and node.args[1].op is Op.CONST
        case Op.MUL:
            return any(arg.op is Op.CONST for arg in node.args)
        case op:
            return op in _INTEGER_OPS and node.kind is Kind.INT
