"""What a query tile computes before its loops: hoisted values, bounds of the sweeps, the sink."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Affine:
    """A score as factor * inner + offset, factor > 0: exp2 takes the factor in its multiply-add, and the
    offset, the same for every key, is added to the lse alone."""

    inner: Expr
    factor: float
    offset: float


def affine_form(expr: Expr) -> Affine | None:
    """The constants of a score that lie outside everything else; None when there are none to take out."""
    inner, factor, offset = expr, 1.0, 0.0
    while True:
        args = inner.args
        match inner.op:
            case Op.ADD if is_const(args[1]):
                inner, offset = args[0], offset + factor * args[1].value
            case Op.ADD | Op.SUB if is_const(args[0]):
                offset += factor * args[0].value
                inner, factor = args[1], factor if inner.op is Op.ADD else -factor
            case Op.MUL if is_const(args[0]):
                inner, factor = args[1], factor * args[0].value
            case Op.MUL if is_const(args[1]):
                inner, factor = args[0], factor * args[1].value
            case _:
                break
    if factor < 0:
        inner, factor = make(Op.NEG, inner), -factor
    usable = factor > 0 and math.isfinite(factor) and math.isfinite(offset)
    return Affine(inner, factor, offset) if usable and (inner is not expr or expr.op is Op.SCORE) else None


def sink_logit(normalizer: Softmax | Sigmoid, offset: float) -> Expr | None:
    """The sink in base 2, less what the scores leave out; or None."""
    if isinstance(normalizer, Sigmoid) or normalizer.sink is None:
        return None
    if isinstance(normalizer.sink, TensorRef):
        logit = make(Op.MUL, load(normalizer.sink, [H_IDX]), const(LOG2E))
        return make(Op.SUB, logit, const(offset)) if offset else logit
    return const(normalizer.sink * LOG2E - offset)


def sink_lines(sink: Expr, printer: Printer, *, packed: bool) -> list[str]:
    """A sink is a key with this logit and no value: it starts the running maximum and sum."""
    if packed and sink.op is not Op.CONST:
        first = f"row_max = {printer.text(sink, Axis.ROW)}"
    else:
        first = f"row_max = tl.zeros([BLOCK_M], tl.float32) + {printer.text(sink, Axis.TILE)}"
    return [first, "row_sum = tl.full([BLOCK_M], 1.0, tl.float32)"]
