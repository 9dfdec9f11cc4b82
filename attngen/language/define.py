"""From the arguments of a spec to its `Definition`: everything becomes expressions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from attngen.errors import SpecError
from attngen.expr.build import SCORE, TRUE, const, param, substitute
from attngen.expr.op import Expr, Op, Param, TensorRef, walk
from attngen.language.arithmetic import checked_arithmetic
from attngen.language.checks import at, is_float
from attngen.language.definition import Definition, Sigmoid, Softmax
from attngen.language.grammar import parse_number
from attngen.language.normalizers import lower_normalizer
from attngen.language.scope import Scope
from attngen.language.term import as_mask, as_score

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec

_MOST_STEPS = 64


def define(spec: AttentionSpec) -> tuple[Definition, dict[str, Any]]:
    params = {name: Param(name, dtype) for name, dtype in spec.params.items()}
    declared = {name: TensorRef(name, t.dtype, t.shape) for name, t in spec.tensors.items()}
    scope = Scope(spec.heads, params, declared, parse_number)
    scale = _scale(spec, scope)
    mask = at("mask", lambda: TRUE if spec.mask is None else as_mask(spec.mask).lower(scope))
    score = SCORE
    steps = () if spec.score is None else spec.score if isinstance(spec.score, tuple) else (spec.score,)
    if len(steps) > _MOST_STEPS:
        raise SpecError(f"{len(steps)} steps", place="score", remedy=f"at most {_MOST_STEPS}; join them in one text")
    for i, step in enumerate(steps):
        place = f"score[{i}]" if len(steps) > 1 else "score"
        score = substitute(at(place, lambda step=step: as_score(step).lower(scope)), {SCORE: score})  # type: ignore[misc]
    normalizer = lower_normalizer(spec.normalizer, spec.sink, scope)
    mask = at("mask", lambda: checked_arithmetic(scope.finish(mask)))
    score = at("score", lambda: checked_arithmetic(scope.finish(score)))
    for name in (*params, *declared):
        if name not in scope.used:
            raise SpecError(
                f"`{name}` is declared and never used",
                place="params" if name in params else "tensors",
                remedy="use it in the mask, score, scale or sink, or remove it",
            )
    captured = _captured_refs(mask, score, normalizer)
    definition = Definition(
        heads=spec.heads,
        head_dim=spec.head_dim,
        dtype=spec.dtype,
        tf32=spec.tf32,
        scale=scale,
        mask=mask,
        score=score,
        normalizer=normalizer,
        params=tuple(params.values()),
        tensors=(*declared.values(), *captured),
    )
    return definition, {ref.name: scope.captured[ref.name] for ref in captured}


def _scale(spec: AttentionSpec, scope: Scope) -> Expr:
    value = spec.scale
    if value is None:
        return const(1.0 / math.sqrt(spec.head_dim.qk))
    if isinstance(value, str):
        if value not in scope.params or scope.params[value].dtype != "float32":
            raise SpecError(
                f"{value!r} is no float32 parameter",
                place="scale",
                remedy=f'declare it: params={{"{value}": "float32"}}',
            )
        scope.used.add(value)
        return param(scope.params[value])
    if not is_float(value):
        raise SpecError(
            f"{value!r} is no scale",
            place="scale",
            remedy="use a finite float, a float32 parameter, or None for 1/sqrt(qk)",
        )
    return const(float(value))


def _captured_refs(mask: Expr, score: Expr, normalizer: Softmax | Sigmoid) -> list[TensorRef]:
    """Captured tensors in the order of first use; derived ones stand for their sources."""
    found: dict[TensorRef, None] = {}

    def add(ref: TensorRef) -> None:
        if ref.derived is not None:
            for source in ref.derived.sources:
                add(source)
        elif ref.captured:
            found.setdefault(ref)

    for root in (mask, score):
        for node in walk(root):
            if node.op is Op.LOAD:
                add(node.value)
            elif node.op is Op.SIZE:
                add(node.value[0])
    if isinstance(normalizer, Softmax) and isinstance(normalizer.sink, TensorRef):
        add(normalizer.sink)
    return list(found)
