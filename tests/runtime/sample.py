"""The definition that `sample_kernel.py` computes, and an `Attention` of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attngen.expr.build import H_IDX, KV_IDX, M_LEN, N_LEN, Q_IDX, SCORE, all_of, const, load, make, param
from attngen.expr.op import Op, Param, TensorRef
from attngen.language.definition import Definition, HeadDim, Heads, Softmax
from attngen.planner.plan import Plan
from attngen.runtime.cache import Cache
from attngen.runtime.launch import Attention, Emitted, Request
from attngen.tiling.schedule import Schedule

TEXT = Path(__file__).with_name("sample_kernel.py").read_text()
DOC = TensorRef("doc", "int32", ("N",), captured=True)
SLOPES = TensorRef("slopes", "fp32", ("H",))
WINDOW, TEMPERATURE = Param("W", "int32"), Param("temperature", "float32")


def definition(dim: int = 16, dtype: str | None = None) -> Definition:
    pos = make(Op.ADD, Q_IDX, make(Op.SUB, N_LEN, M_LEN))
    distance = make(Op.SUB, pos, KV_IDX)
    mask = all_of(
        [
            make(Op.LE, KV_IDX, pos),
            make(Op.LT, distance, param(WINDOW)),
            make(Op.EQ, load(DOC, (pos,)), load(DOC, (KV_IDX,))),
        ]
    )
    alibi = make(Op.ADD, SCORE, make(Op.MUL, load(SLOPES, (H_IDX,)), make(Op.SUB, KV_IDX, pos)))
    return Definition(
        heads=Heads(4, 2),
        head_dim=HeadDim(dim, dim),
        dtype=dtype,
        tf32=False,
        scale=const(1 / dim**0.5),
        mask=mask,
        score=make(Op.DIV, alibi, param(TEMPERATURE)),
        normalizer=Softmax(),
        params=(WINDOW, TEMPERATURE),
        tensors=(SLOPES, DOC),
    )


@dataclass(frozen=True)
class SampleSpec:
    """As much of a spec as the runtime and the oracle look at."""

    definition: Definition = field(default_factory=definition)
    captured: Mapping[str, Any] = field(default_factory=dict)
    name: str = "sample"
    fingerprint: str = "sample"


def emitted(request: Request) -> Emitted:
    tile = (16, 16, 4, 1, 1, (16,), (16,), False, False)
    plan = Plan(request.target, "sm_90", request.dtype, *tile, 64, 4096, 1, 1.0, "memory", ())
    return Emitted(TEXT, plan, Schedule(16, 16, definition().mask, (), (), False, True, False))


def attention(
    spec: SampleSpec, cache: Cache | None = None, emit: Callable[[Request], Emitted] = emitted, **options: Any
) -> Attention:
    return Attention(spec, emit, cache=cache, **options)


def is_short(call: Callable[[], Any], f: Attention) -> bool:
    """Whether a call takes the short way."""
    long = f._first
    seen: list[int] = []
    f._first = lambda *args: seen.append(1) or long(*args)  # type: ignore[method-assign,func-returns-value]
    call()
    del f._first
    return not seen
