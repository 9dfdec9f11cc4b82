"""A spec at every point of [B, H, M, N], by the NumPy evaluation of its expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr, Op, walk
from attngen.language import AttentionSpec
from attngen.language.arrays import to_numpy
from attngen.language.derived import derive

HEADS = 4


def mask_spec(mask: Any, **options: Any) -> AttentionSpec:
    return AttentionSpec("test", HEADS, 64, mask=mask, **options)


def score_spec(score: Any, **options: Any) -> AttentionSpec:
    return AttentionSpec("test", HEADS, 64, score=score, **options)


def at_every_point(
    spec: AttentionSpec,
    expr: Expr,
    m: int,
    n: int,
    *,
    batch: int = 2,
    score: Any = None,
    params: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Any] | None = None,
) -> np.ndarray:
    given = {ref: to_numpy({**spec.captured, **(tensors or {})}[ref.name]) for ref in spec.definition.tensors}
    loaded = [
        node.value if node.op is Op.LOAD else node.value[0] for node in walk(expr) if node.op in (Op.LOAD, Op.SIZE)
    ]
    arrays = {ref: derive(ref, given, m, n) for ref in loaded}
    env = Env.dense(batch, spec.heads.q, m, n, score=score, params=params, tensors=arrays)
    return np.broadcast_to(evaluate(expr, env), (batch, spec.heads.q, m, n))


def keep(mask: Any, m: int, n: int, **options: Any) -> np.ndarray:
    """The mask as a bool array [2, 4, M, N]."""
    named = {key: options.pop(key) for key in ("params", "tensors", "values", "arrays") if key in options}
    spec = mask_spec(mask, **{key: named[key] for key in ("params", "tensors") if key in named})
    values, arrays = named.get("values"), named.get("arrays")
    return at_every_point(spec, spec.definition.mask, m, n, params=values, tensors=arrays, **options)


def scored(step: Any, score: np.ndarray, **options: Any) -> np.ndarray:
    """The score after the steps, for a score [2, H, M, N]."""
    named = {key: options.pop(key) for key in ("params", "tensors", "values", "arrays") if key in options}
    heads = score.shape[1]
    declared = {key: named[key] for key in ("params", "tensors") if key in named}
    spec = AttentionSpec("test", heads, 64, score=step, **declared)
    values, arrays = named.get("values"), named.get("arrays")
    _, _, m, n = score.shape
    return at_every_point(spec, spec.definition.score, m, n, score=score, params=values, tensors=arrays)
