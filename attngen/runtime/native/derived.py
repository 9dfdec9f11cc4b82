"""The tensors that a native kernel reads: those of the call, and what is made from them in NumPy."""

from __future__ import annotations

from typing import Any

from attngen.emit.cpu.interface import Interface, Meaning
from attngen.expr.op import TensorRef
from attngen.language.arrays import to_numpy
from attngen.language.derived import derive
from attngen.runtime.kept import Kept
from attngen.runtime.variant import Call


def derived_tensors(interface: Interface, kept: Kept, call: Call) -> dict[TensorRef, Any]:
    """A torch tensor for each one that ``interface`` names; derived ones are made once while nothing changes."""
    tables: dict[TensorRef, Any] = {}
    for field in interface.fields:
        if field.meaning is Meaning.TENSOR and field.ref is not None:
            ref = field.ref
            tables[ref] = call.named[ref.name] if ref.derived is None else _made(ref, kept, call)
    return tables


def _made(ref: TensorRef, kept: Kept, call: Call) -> Any:
    key = ("derived", ref, call.sizes.m, call.sizes.n, call.passed)

    def build() -> list[Any]:
        import numpy as np
        import torch

        arrays = {source: to_numpy(call.named[source.name]) for source in _given(ref)}
        return [torch.from_numpy(np.ascontiguousarray(derive(ref, arrays, call.sizes.m, call.sizes.n)))]

    return kept.tile_lists(key, call.named, call.passed, call.tensors[0].device, build)[0]


def _given(ref: TensorRef) -> list[TensorRef]:
    """What ``ref`` is made from in the end."""
    if ref.derived is None:
        return [ref]
    return [given for source in ref.derived.sources for given in _given(source)]
