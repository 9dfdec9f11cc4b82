"""One kernel, one case, against the oracle: everything that can be checked without a GPU, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attngen.language.definition import Blocks, Softmax
from attngen.oracle import definition_of, environment, reference
from tests.support import plain
from tests.support.cases import TORCH, Case, build
from tests.support.poison import guards_intact, poisoned, poisoned_allocations
from tests.support.policy import compare, noises, numpy64
from tests.support.sanitizer import cause, sanitizer


@dataclass(frozen=True)
class Exact:
    """The oracle's answer, plain PyTorch's, and the largest kept score."""

    out: np.ndarray[Any, Any]
    lse: np.ndarray[Any, Any] | None
    plain_out: torch.Tensor
    plain_lse: torch.Tensor | None
    largest_score: float


def exact(spec: Any, case: Case) -> Exact:
    """What is right, and how right plain PyTorch is."""
    definition = definition_of(spec)
    batch, m, n = case.q.shape[0], case.q.shape[2], case.k.shape[2]
    env = environment(spec, batch, m, n, case.values)
    out, lse = reference(spec, case.q, case.k, case.v, **case.values)
    plain_out, _ = plain.attention(definition, env, case.q, case.k, case.v)
    # lse leaves a kernel in fp32 and is made of fp32 scores, whatever the dtype of q: plain PyTorch likewise
    wide_out, plain_lse = plain.attention(definition, env, case.q.float(), case.k.float(), case.v.float())
    if not torch.isfinite(plain_out).all():  # q @ k overflowed in fp16: the yardstick is the rounded fp32 result
        plain_out = wide_out.to(TORCH[case.dtype])
    scores = plain.evaluate(definition.score, env, _products(definition, env, case))
    kept = scores[plain.evaluate(definition.mask, env).expand(scores.shape)] if scores.numel() else scores
    kept = kept[torch.isfinite(kept)]
    return Exact(out, lse, plain_out, plain_lse, float(kept.abs().max()) if kept.numel() else 0.0)


def _products(definition: Any, env: Any, case: Case) -> torch.Tensor:
    k = case.k.float().repeat_interleave(definition.heads.group, dim=1)
    return case.q.float() @ k.transpose(-1, -2) * float(plain.evaluate(definition.scale, env))


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
    attention: Any = None,
) -> None:
    """Interpret the kernel on one random case; AssertionError says what is wrong and how to see it again.

    Every access is checked against its tensor, outputs start as NaN, and NaN lies around the inputs.
    ``attention``: a compiled variant, else `attngen.compile(spec)`. ``blocks`` pins (q, kv) tile sizes.
    """
    if attention is None:
        import attngen

        spec = spec.replace(blocks=Blocks(*blocks)) if blocks else spec
        attention = attngen.compile(spec)
    case = build(
        spec, batch, m, n, dtype, seed, values=values, layout=layout, kv_batch=kv_batch, magnitude=magnitude
    )  # fmt: skip
    wrong = problems(spec, attention, case, layout)
    if wrong:
        name = getattr(spec, "name", "a definition")
        call = f"B={batch} M={m} N={n} {dtype} seed={seed} layout={layout} magnitude={magnitude} blocks={blocks}"
        scalars = {key: value for key, value in case.values.items() if not isinstance(value, torch.Tensor)}
        raise AssertionError("\n  ".join([f"{name}: {call} {scalars or ''}", *wrong]))


def problems(spec: Any, attention: Any, case: Case, layout: str = "contiguous") -> list[str]:
    """Run once; one line for each thing that is wrong."""
    definition = definition_of(spec)
    with_lse = isinstance(definition.normalizer, Softmax)
    shape = (*case.q.shape[:3], definition.head_dim.v)
    # the last dimension of an output is contiguous
    out = poisoned(torch.full(shape, torch.nan, dtype=case.q.dtype), "contiguous" if layout == "strided" else layout)
    inputs = [x.clone() for x in (case.q, case.k, case.v)]
    try:
        with poisoned_allocations(), sanitizer():
            answer = attention(case.q, case.k, case.v, return_lse=with_lse, out=out, **case.values)
    except Exception as error:
        reason = cause(error)
        if reason is error:
            raise
        return [f"{type(reason).__name__}: {reason}"]
    _, lse = answer if with_lse else (answer, None)
    right = exact(spec, case)
    noise, noise_rms, noise_lse = noises(right.out, numpy64(case.v), right.largest_score, case.dtype)
    wrong = compare("out", out, right.out, right.plain_out, case.dtype, noise, noise_rms)
    if with_lse:
        wrong += compare("lse", lse, right.lse, right.plain_lse, "fp32", noise_lse, noise_lse)
    if not guards_intact(out):
        wrong.append("out: the kernel wrote past its rows")
    changed = [
        name
        for name, now, before in zip("qkv", (case.q, case.k, case.v), inputs, strict=True)
        if not torch.equal(now, before)
    ]
    return wrong + [f"{name}: the kernel changed its input" for name in changed]
