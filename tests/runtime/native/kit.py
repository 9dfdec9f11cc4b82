"""`sample.cpp` as a variant: what the pipeline would answer, written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from attngen.emit.cpu.interface import Field, Interface, Meaning
from attngen.runtime.cache import Cache
from attngen.runtime.launch import Attention, Emitted, Request
from tests.runtime.sample import DOC, SLOPES, SampleSpec, attention, emitted

TEXT = Path(__file__).with_name("sample.cpp").read_text()
ROOT = Path(__file__).resolve().parents[3]


def _fields() -> tuple[Field, ...]:
    made = [Field(name, "P", Meaning.DATA, name) for name in ("q", "k", "v", "out", "lse")]
    made += [Field(name, "q", Meaning.LENGTH, name) for name in "BMN"]
    made += [
        Field(f"{name}{dim}", "q", Meaning.STRIDE, name, dim) for name in ("q", "k", "v", "out") for dim in range(3)
    ]
    made += [
        Field("slopes", "P", Meaning.TENSOR, "slopes", ref=SLOPES),
        Field("slopes_0", "q", Meaning.STRIDE, "slopes", 0, SLOPES),
        Field("doc", "P", Meaning.TENSOR, "doc", ref=DOC),
        Field("doc_0", "q", Meaning.STRIDE, "doc", 0, DOC),
        Field("doc_size", "q", Meaning.SIZE, "doc", 0, DOC),
        Field("W", "q", Meaning.PARAM, "W"),
        Field("temperature", "d", Meaning.PARAM, "temperature"),
        Field("shared", "P", Meaning.SHARED, "shared"),
    ]
    return tuple(made)


def text(dtype: str = "fp32", split: bool = False, wait: int = 0) -> str:
    """``wait``: empty steps of each item, so that threads have time to meet."""
    real = {"fp32": "float", "fp64": "double"}[dtype]
    wanted = (("REAL float", f"REAL {real}"), ("SPLIT 0", f"SPLIT {int(split)}"), ("WAIT 0", f"WAIT {wait}"))
    made = TEXT
    for before, after in wanted:
        assert f"#define {before}\n" in made
        made = made.replace(f"#define {before}\n", f"#define {after}\n")
    return made


def native(
    cache: Cache | None = None,
    *,
    split: bool = False,
    wait: int = 0,
    doc: Any = None,
    emissions: list[Request] | None = None,
    source: str | None = None,
    **options: Any,
) -> Attention:
    """The variant on the CPU. ``doc`` captures the documents; ``emissions`` sees each request."""

    def emit(request: Request) -> Emitted:
        if emissions is not None:
            emissions.append(request)
        right = emitted(request)
        made = source if source is not None else text(request.dtype, split, wait)
        interface = Interface(request.dtype, _fields(), (), tile_list=False, split=split)
        return Emitted(made, right.plan, right.schedule, interface)

    captured = {} if doc is None else {"doc": doc}
    return attention(SampleSpec(captured=captured), cache, emit, **{"backend": "cpu", **options})


def inputs(batch: int = 2, m: int = 40, n: int = 40, dtype: torch.dtype = torch.float32, seed: int = 0) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, h, rows, 16, generator=generator, dtype=dtype) for h, rows in ((4, m), (2, n), (2, n))]


def values(n: int = 40, w: int = 9, temperature: float = 1.3) -> Mapping[str, Any]:
    doc = torch.arange(n, dtype=torch.int32) // 15
    return {"slopes": torch.linspace(0.1, 0.4, 4), "doc": doc, "W": w, "temperature": temperature}
