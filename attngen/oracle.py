"""The oracle: attention as the definition says it, dense, in NumPy float64. It knows nothing of kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.errors import CallError, did_you_mean
from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import TensorRef, tensors
from attngen.language.arrays import to_numpy
from attngen.language.definition import Definition, Softmax
from attngen.language.derived import derive

Array = npt.NDArray[Any]


def reference(spec: Any, q: Any, k: Any, v: Any, **values: Any) -> tuple[Array, Array | None]:
    """``(out [B, Hq, M, Dv], lse [B, Hq, M])`` of a spec or definition; lse is None for a sigmoid.

    q is [B, Hq, M, D], k and v [B or 1, Hkv, N, D]; torch or NumPy. ``values`` are the declared
    params and tensors, and replacements of captured tensors, by name.
    """
    definition = definition_of(spec)
    q, k, v = _checked(definition, q, k, v)
    batch, m, n = q.shape[0], q.shape[2], k.shape[2]
    k, v = (np.repeat(x, definition.heads.group, axis=1) for x in (k, v))
    env = environment(spec, batch, m, n, values)

    with np.errstate(all="ignore"):
        scores = evaluate(definition.scale, env) * (q @ k.swapaxes(-1, -2))
        scores = evaluate(definition.score, Env(env.index, env.length, env.params, scores, env.tensors))
        scores = np.where(evaluate(definition.mask, env), scores, -np.inf)
        scores = np.broadcast_to(scores, (batch, definition.heads.q, m, n))
        if not isinstance(definition.normalizer, Softmax):
            return 1 / (1 + np.exp(-scores - evaluate(definition.normalizer.bias, env))) @ v, None
        sink = _sink(definition.normalizer, env)
        top = np.maximum(np.max(scores, axis=-1, initial=-np.inf, keepdims=True), sink)
        top = np.where(top == -np.inf, 0.0, top)
        weights = np.exp(scores - top)
        total = weights.sum(axis=-1, keepdims=True) + np.exp(sink - top)
        out = np.where(total == 0, 0.0, (weights @ v) / total)
        return out, (top + np.log(total))[..., 0]


def _checked(definition: Definition, q: Any, k: Any, v: Any) -> list[Array]:
    """q, k and v as float64, of the shapes that the definition has."""
    heads, dim = definition.heads, definition.head_dim
    arrays: list[Array] = []
    for name, given, count, width in (("q", q, heads.q, dim.qk), ("k", k, heads.kv, dim.qk), ("v", v, heads.kv, dim.v)):
        array = to_numpy(given)
        batch_and_rows = (array.shape[0], array.shape[2]) if array.ndim == 4 else (0, 0)
        wanted = (batch_and_rows[0], count, batch_and_rows[1], width)
        if array.dtype.kind not in "biuf" or array.shape != wanted or (name == "v" and wanted[2] != arrays[1].shape[2]):
            raise CallError(
                f"{array.dtype} of shape {list(array.shape)}",
                place=f"reference, argument `{name}`",
                remedy=f"use numbers [batch, {count}, rows, {width}], as many rows in v as in k",
            )
        arrays.append(array.astype(np.float64))
    return arrays


def _sink(normalizer: Softmax, env: Env) -> Array:
    """The logit that only the denominator sees, [1, H, 1, 1] or a number; -inf when there is none."""
    if isinstance(normalizer.sink, TensorRef):
        return env.tensors[normalizer.sink].reshape(1, -1, 1, 1).astype(np.float64)
    return np.asarray(-np.inf if normalizer.sink is None else normalizer.sink)


def environment(spec: Any, batch: int, m: int, n: int, values: Mapping[str, Any]) -> Env:
    """Every leaf of the definition at every point of [B, Hq, M, N]."""
    definition = definition_of(spec)
    arrays = dict(getattr(spec, "captured", {})) | dict(values)
    known = [p.name for p in definition.params] + [t.name for t in definition.tensors]
    for name in values:
        if name not in known:
            raise CallError(f"unknown argument `{name}`", place="reference", remedy=did_you_mean(name, known))
    for name in known:
        if name not in arrays:
            raise CallError(f"`{name}` is missing", place="reference", remedy=f"pass {name}=...")
    bound = {tensor: to_numpy(arrays[tensor.name]) for tensor in definition.tensors}
    for tensor in tensors(definition.scale, definition.mask, definition.score):
        bound[tensor] = derive(tensor, bound, m, n)
    params = {param.name: arrays[param.name] for param in definition.params}
    return Env.dense(batch, definition.heads.q, m, n, params=params, tensors=bound)


def definition_of(spec: Any) -> Definition:
    definition = getattr(spec, "definition", spec)
    if isinstance(definition, Definition):
        return definition
    raise CallError(f"a {type(spec).__name__} is no spec", place="reference", remedy="give an AttentionSpec")
