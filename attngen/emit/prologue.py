"""What a query tile computes before its loops: hoisted values, bounds of the sweeps, the sink."""

from __future__ import annotations

from attngen.expr.axis import Axis
from attngen.expr.build import H_IDX, const, load, make
from attngen.expr.op import Expr, Op, TensorRef
from attngen.expr.printer import Printer
from attngen.expr.simplify import is_const
from attngen.graph.node import Hoisted, Node
from attngen.graph.passes.fold_scale import LOG2E
from attngen.language.definition import Sigmoid, Softmax
from attngen.tiling.schedule import Bound


def hoisted_lines(nodes: list[Node], printer: Printer) -> list[str]:
    """The values that score and mask take out of the tile: once a query tile or once a row."""
    hoisted: dict[str, Hoisted] = {}
    for node in nodes:
        hoisted.update({item.name: item for item in node.hoisted if item.axis != "column"})
    lines = []
    for item in hoisted.values():
        lines += printer.statements(item.expr, item.name, Axis.TILE if item.axis == "tile" else Axis.ROW)
    return lines


def bound_lines(bounds: list[tuple[Bound, Expr]], printer: Printer) -> list[str]:
    """Scalars that the sweeps need; a bound that differs from row to row is reduced over the tile."""
    lines = []
    for bound, expr in bounds:
        axis = Axis.TILE if bound.reduce == "uniform" else Axis.ROW
        lines += printer.statements(expr, bound.name, axis)
        if axis is Axis.ROW:
            lines.append(f"{bound.name} = tl.{bound.reduce}({bound.name})")
    return lines


def constant_factor(score: Node) -> str:
    """The constant c of a score that is c * s, c > 0, as text: softmax then folds it into its exp2."""
    expr = score.expr
    assert expr is not None
    for constant, other in (expr.args, expr.args[::-1]) if expr.op is Op.MUL else ():
        if is_const(constant) and other.op is Op.SCORE and constant.value > 0:
            return repr(constant.value)
    return "1.0" if expr.op is Op.SCORE else ""


def sink_logit(normalizer: Softmax | Sigmoid) -> Expr | None:
    """The sink in base 2, or None."""
    if isinstance(normalizer, Sigmoid) or normalizer.sink is None:
        return None
    if isinstance(normalizer.sink, TensorRef):
        return make(Op.MUL, load(normalizer.sink, [H_IDX]), const(LOG2E))
    return const(normalizer.sink * LOG2E)


def sink_lines(sink: Expr, printer: Printer, *, packed: bool) -> list[str]:
    """A sink is a key with this logit and no value: it starts the running maximum and sum."""
    if packed and sink.op is not Op.CONST:
        first = f"row_max = {printer.text(sink, Axis.ROW)}"
    else:
        first = f"row_max = tl.zeros([BLOCK_M], tl.float32) + {printer.text(sink, Axis.TILE)}"
    return [first, "row_sum = tl.full([BLOCK_M], 1.0, tl.float32)"]
