"""One kernel, one case, against the oracle: everything that can be checked in one call, with or without a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attngen.checking import plain
from attngen.checking.inputs import TORCH, Case, build
from attngen.checking.poison import guards_intact, poisoned, poisoned_allocations
from attngen.checking.policy import EPS, SCORE_ROUNDINGS, compare, noises, numpy64
from attngen.checking.sanitizer import cause, sanitizer
from attngen.expr.evaluate import Env
from attngen.expr.op import TensorRef
from attngen.language.definition import Blocks, Definition, Softmax
from attngen.oracle import definition_of, environment, reference
from attngen.runtime.tensors import way_to_run


@dataclass(frozen=True)
class Exact:
    """The oracle's answer, plain PyTorch's, and how far rounding in fp32 may move a score."""

    out: np.ndarray[Any, Any]
    lse: np.ndarray[Any, Any] | None
    plain_out: torch.Tensor
    plain_lse: torch.Tensor | None
    score_noise: float


def exact(spec: Any, case: Case) -> Exact:
    """What is right, and how right plain PyTorch is."""
    definition = definition_of(spec)
    batch, m, n = case.q.shape[0], case.q.shape[2], case.k.shape[2]
    env = environment(spec, batch, m, n, case.values)
    out, lse = reference(spec, case.q, case.k, case.v, **case.values)
    plain_out, _ = plain.attention(definition, env, case.q, case.k, case.v)
    # lse leaves a kernel in fp32 and is made of fp32 scores, whatever the dtype of q: plain PyTorch likewise
    wide = (x.to(plain.real_of(case.q)) for x in (case.q, case.k, case.v))
    wide_out, plain_lse = plain.attention(definition, env, *wide)
    if not torch.isfinite(plain_out).all():  # q @ k overflowed in fp16: the yardstick is the rounded fp32 result
        plain_out = wide_out.to(TORCH[case.dtype])
    return Exact(out, lse, plain_out, plain_lse, _score_noise(definition, env, case))


def _score_noise(definition: Definition, env: Env, case: Case) -> float:
    """What the roundings of the products and of the steps on them do to the kept scores, at most.

    Where a step flattens large products (a soft cap), the scores are small and the products' error is not:
    the steps are applied to the products moved by their own error. tanh, sigmoid and erf are owed their
    values to two roundings of 1, not of the value: hardware has them no better, and c * tanh(s / c) then
    carries the rounding of c.
    """
    real = plain.real_of(case.q)
    eps = EPS[accuracy(case.dtype)]
    q, k = case.q.to(real), case.k.to(real).repeat_interleave(definition.heads.group, dim=1)
    scale = float(plain.evaluate(definition.scale, env, real=real))
    products = q @ k.transpose(-1, -2) * scale
    error = eps * (q.abs() @ k.abs().transpose(-1, -2)) * abs(scale)
    scores = plain.evaluate(definition.score, env, products, real=real)
    up, down = (plain.evaluate(definition.score, env, products + s * error, 2 * s * eps, real) for s in (1, -1))
    keep = plain.evaluate(definition.mask, env) & torch.isfinite(scores)
    moved = torch.maximum((up - scores).abs(), (down - scores).abs()).nan_to_num(0.0, 0.0, 0.0)
    largest = _largest(torch.where(keep, scores.abs(), 0.0))
    if isinstance(definition.normalizer, Softmax) and isinstance(definition.normalizer.sink, TensorRef):
        largest = max(largest, _largest(torch.from_numpy(env.tensors[definition.normalizer.sink].copy()).abs()))
    return SCORE_ROUNDINGS * eps * (1.0 + largest) + _largest(torch.where(keep, moved, 0.0))


def accuracy(dtype: str) -> str:
    """The dtype of scores and lse: fp64 for fp64, fp32 for everything else."""
    return "fp64" if dtype == "fp64" else "fp32"


def _largest(x: torch.Tensor) -> float:
    return float(x.max()) if x.numel() else 0.0


def check(
    spec: Any,
    batch: int,
    m: int,
    n: int,
    dtype: str = "fp32",
    seed: int = 0,
    *,
    blocks: tuple[int, int] | None = None,
    layout: str = "contiguous",
    values: Mapping[str, Any] | None = None,
    kv_batch: int | None = None,
    magnitude: float = 1.0,
    target: str | None = None,
    backend: str | None = None,
    attention: Any = None,
) -> None:
    """Run the kernel on one random case; AssertionError says what is wrong and how to see it again.

    Outputs start as NaN, and NaN lies around the inputs; in the interpreter every access is also checked against
    its tensor. ``attention``: a compiled variant, else `attngen.compile(spec, backend, target)`. ``blocks`` pins
    (q, kv) tile sizes.
    """
    if attention is None:
        import attngen

        spec = spec.replace(blocks=Blocks(*blocks)) if blocks else spec
        attention = attngen.compile(spec, backend=backend, target=target)
    case = build(
        spec, batch, m, n, dtype, seed, values=values, layout=layout, kv_batch=kv_batch, magnitude=magnitude
    )  # fmt: skip
    wrong = problems(spec, attention, case, layout)
    if wrong:
        name = getattr(spec, "name", "a definition")
        call = f"B={batch} M={m} N={n} {dtype} seed={seed} layout={layout} magnitude={magnitude} blocks={blocks}"
        scalars = {key: value for key, value in case.values.items() if not isinstance(value, torch.Tensor)}
        raise AssertionError("\n  ".join([f"{name}: {call} {target or ''} {scalars or ''}", *wrong]))


def problems(spec: Any, attention: Any, case: Case, layout: str = "contiguous", device: str | None = None) -> list[str]:
    """Run once; one line for each thing that is wrong.

    The kernel is interpreted, and each access checked, unless ``device`` names one of torch to launch it on:
    there nothing watches single accesses, and the NaN around tensors has to tell.
    """
    definition = definition_of(spec)
    with_lse = isinstance(definition.normalizer, Softmax)
    shape = (*case.q.shape[:3], definition.head_dim.v)
    # the last dimension of an output is contiguous
    here = case if device is None else case.on(device, layout)
    empty = torch.full(shape, torch.nan, dtype=here.q.dtype, device=here.q.device)
    out = poisoned(empty, "contiguous" if layout == "strided" else layout)
    inputs = [x.clone() for x in (here.q, here.k, here.v)]
    try:
        native = device is None and way_to_run(here.q, attention.backend, attention.variant.target) == "native"
        interpreted = device is None and not native
        with poisoned_allocations(), sanitizer() if interpreted else contextlib.nullcontext():
            answer = attention(here.q, here.k, here.v, return_lse=with_lse, out=out, **here.values)
    except Exception as error:
        reason = cause(error)
        if reason is error:
            raise
        return [f"{type(reason).__name__}: {reason}"]
    _, lse = answer if with_lse else (answer, None)
    right = exact(spec, case)
    noise, noise_rms, noise_lse = noises(right.out, numpy64(case.v), right.score_noise, case.dtype)
    wrong = compare("out", out, right.out, right.plain_out, case.dtype, noise, noise_rms)
    if with_lse:
        wrong += compare("lse", lse, right.lse, right.plain_lse, accuracy(case.dtype), noise_lse, noise_lse)
    if not guards_intact(out):
        wrong.append("out: the kernel wrote past its rows")
    changed = [
        name
        for name, now, before in zip("qkv", (here.q, here.k, here.v), inputs, strict=True)
        if not torch.equal(now, before)
    ]
    return wrong + [f"{name}: the kernel changed its input" for name in changed]
