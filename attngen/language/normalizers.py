"""What turns a row of scores into weights: softmax, with or without a sink, or a sigmoid of each score."""

from __future__ import annotations

from typing import Any

from attngen.errors import SpecError, did_you_mean
from attngen.expr.build import KV_IDX, Q_IDX, const, to_float
from attngen.expr.op import Expr, Kind, Op, walk
from attngen.language.arithmetic import checked_arithmetic
from attngen.language.checks import at, is_float
from attngen.language.definition import Sigmoid, Softmax
from attngen.language.scope import Scope
from attngen.language.term import SigmoidTerm, call_text

OFF_BY_ONE = "off_by_one"


def sigmoid(bias: float | str = "-log(N)") -> SigmoidTerm:
    """sigmoid(score + bias) for each key, without a sum over keys (arXiv:2409.04431). There is no lse.

    ``bias``: a float, the name of a float32 parameter, or a text that is the same for all queries and
    keys. The paper's is -log(N).
    """
    if not isinstance(bias, str) and not is_float(bias):
        raise SpecError(
            f"{bias!r} is no bias",
            place="sigmoid(bias)",
            remedy='use a float, a float32 parameter or a text: "-log(N)"',
        )

    def lower(scope: Scope) -> Expr:
        if not isinstance(bias, str):
            return const(float(bias))
        expr = scope.parse(bias)
        if any(node.op in (Op.SCORE, Op.LOAD) or node in (Q_IDX, KV_IDX) for node in walk(expr)):
            raise SpecError(
                f"`{bias}` is not one number a tile",
                place="sigmoid(bias)",
                remedy="use lengths, parameters and constants",
            )
        if expr.kind is Kind.BOOL:
            raise SpecError(f"`{bias}` is a condition", place="sigmoid(bias)", remedy="use a number")
        return to_float(checked_arithmetic(expr))

    text = call_text("sigmoid", bias=bias)
    assert text is not None
    return SigmoidTerm(text, lower)


def lower_normalizer(normalizer: str | SigmoidTerm, sink: Any, scope: Scope) -> Softmax | Sigmoid:
    """The normaliser of a spec; ``sink`` is None, "off_by_one", the name of a declared tensor [H], or a tensor [H]."""
    if isinstance(normalizer, str) and normalizer != "softmax":
        text = normalizer
        normalizer = at("normalizer", lambda: _from_text(text, scope))
    if isinstance(normalizer, SigmoidTerm):
        if sink is not None:
            raise SpecError("a sigmoid has no sink", place="sink", remedy="leave `sink` away, or use the softmax")
        return Sigmoid(at("normalizer", lambda: normalizer.lower(scope)))
    if normalizer != "softmax":
        raise SpecError(
            f"{normalizer!r} is no normaliser", place="normalizer", remedy='use "softmax" or sigmoid(bias=...)'
        )
    if sink is None:
        return Softmax()
    if isinstance(sink, str) and sink == OFF_BY_ONE:
        return Softmax(0.0)
    if isinstance(sink, str) and sink not in scope.declared:
        known = [OFF_BY_ONE, *scope.declared]
        raise SpecError(
            f"{sink!r} is no sink",
            place="sink",
            remedy=f'use "{OFF_BY_ONE}" or declare the tensor [H]; {did_you_mean(sink, known)}',
        )
    tensor = scope.tensor(sink, "sink", "sink", (1,))
    if tensor.dtype not in ("fp32", "fp16", "bf16"):
        raise SpecError(
            f"`{tensor.name}` is {tensor.dtype}", place="sink", remedy="a sink is a logit: use a float tensor [H]"
        )
    if tensor.captured and scope.captured[tensor.name].shape[0] not in (1, scope.heads.q):
        raise SpecError(
            f"`{tensor.name}` has {scope.captured[tensor.name].shape[0]} logits for {scope.heads.q} heads",
            place="sink",
            remedy="give one logit a query head",
        )
    return Softmax(tensor)


def _from_text(text: str, scope: Scope) -> SigmoidTerm:
    from attngen.language.grammar import parse_normalizer

    return parse_normalizer(text, scope)
