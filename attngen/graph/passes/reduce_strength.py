"""Rewrite functions into the instructions that a GPU has: exp2, log2, multiply-add, division.

tanh(x) = 1 - 2 / (1 + exp2(2 log2(e) x)): absolute error at most 5e-7 (fp32), exact limits, no overflow
(exp2 -> inf gives 1, -> 0 gives -1); 1 / y is taken as rsqrt(y) squared. For fp32 inputs the cancellation
near 0 would show, so there |x| < 0.625 takes Cephes' polynomial (Moshier, tanhf: relative error 1.3e-7).
sigmoid(x) = 1 / (1 + exp2(-log2(e) x)); log1p(x) corrects the rounding of 1 + x (Kahan): 2 ulp.
"""

from __future__ import annotations

from attngen.expr.build import const, make, rewrite
from attngen.expr.op import Expr, Kind, Op
from attngen.expr.simplify import simplify
from attngen.graph.node import AttentionGraph, AttentionOp
from attngen.graph.passes.fold_scale import LOG2E, times

_TANH_SERIES = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)


def reduce_strength(graph: AttentionGraph, *, precise: bool) -> AttentionGraph:
    for op in (AttentionOp.SCORE, AttentionOp.MASK):
        node = graph.get(op)
        if node is None or node.expr is None:
            continue
        expr = rewrite(node.expr, lambda item: _rule(item, precise))
        graph = graph.replace(node, node.with_(expr=simplify(_merge_factors(expr))))
    return graph


def _rule(node: Expr, precise: bool) -> Expr:
    one = const(1.0)
    match node.op:
        case Op.EXP:
            return make(Op.EXP2, times(node.args[0], LOG2E))
        case Op.SIGMOID:
            return make(Op.DIV, one, make(Op.ADD, one, make(Op.EXP2, times(node.args[0], -LOG2E))))
        case Op.TANH:
            return _tanh(node.args[0], precise)
        case Op.TAN:
            return make(Op.DIV, make(Op.SIN, node.args[0]), make(Op.COS, node.args[0]))
        case Op.LOG1P:
            x = node.args[0]
            u = make(Op.ADD, one, x)
            corrected = make(Op.DIV, make(Op.MUL, make(Op.LOG, u), x), make(Op.SUB, u, one))
            return make(Op.WHERE, make(Op.EQ, u, one), x, corrected)
        case Op.FLOORDIV if node.kind is Kind.FLOAT:
            return make(Op.FLOOR, make(Op.DIV, *node.args))
        case Op.MOD if node.kind is Kind.FLOAT:
            a, b = node.args
            return make(Op.SUB, a, make(Op.MUL, b, make(Op.FLOOR, make(Op.DIV, a, b))))
        case _:
            return node


def _tanh(x: Expr, precise: bool) -> Expr:
    one = const(1.0)
    below = make(Op.ADD, one, make(Op.EXP2, times(x, 2 * LOG2E)))
    if not precise:
        # rsqrt squared: two instructions where a division takes five, and 2 ulp are far below 16-bit inputs
        root = make(Op.RSQRT, below)
        return make(Op.SUB, one, make(Op.MUL, const(2.0), make(Op.MUL, root, root)))
    large = make(Op.SUB, one, make(Op.DIV, const(2.0), below))
    square = make(Op.MUL, x, x)
    series = const(_TANH_SERIES[0])
    for coefficient in _TANH_SERIES[1:]:
        series = make(Op.ADD, make(Op.MUL, series, square), const(coefficient))
    small = make(Op.ADD, make(Op.MUL, make(Op.MUL, series, square), x), x)
    return make(Op.WHERE, make(Op.LT, make(Op.ABS, x), const(0.625)), small, large)


def _merge_factors(root: Expr) -> Expr:
    """c * (a - b / d) -> c a - c b / d, so that a soft cap costs one multiply-add after its exp2."""

    def rule(node: Expr) -> Expr:
        if node.op is Op.MUL and node.kind is Kind.FLOAT:
            for constant, other in (node.args, node.args[::-1]):
                if constant.op is Op.CONST and other.op in (Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.WHERE, Op.NEG):
                    return times(other, constant.value)
        return node

    return rewrite(root, rule)
