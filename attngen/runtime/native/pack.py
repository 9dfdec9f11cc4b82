"""The bytes of a `Call`: every member by its meaning, and which of them the next call has anew."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attngen.emit.cpu.interface import Field, Interface, Meaning
from attngen.errors import CallError
from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import TensorRef
from attngen.language.definition import Heads
from attngen.runtime.tensors import Sizes
from attngen.runtime.variant import Call

DATA = ("q", "k", "v", "out", "lse")
_TILES = ("offsets", "split", "indices")


@dataclass(slots=True)
class Packed:
    """A call as numbers. ``places``: (index, what) of those that differ between calls of the same shapes, where
    what is one of `DATA`, a tensor's name or a parameter's. ``keep``: tensors that addresses point into.
    ``made``: whether some were made from others."""

    layout: struct.Struct
    values: list[int | float]
    places: tuple[tuple[int, str], ...]
    keep: tuple[Any, ...]
    made: bool

    def bytes(self) -> bytes:
        return self.layout.pack(*self.values)


def pack(
    interface: Interface, data: Sequence[Any], tables: Mapping[TensorRef, Any], tiles: Sequence[Any], call: Call
) -> Packed:
    """``data``: q, k, v, out, lse as the kernel reads them; ``tiles``: offsets, split, indices, or nothing."""
    tensors = dict(zip(DATA, data, strict=True))
    lists = dict(zip(_TILES, tiles, strict=False))
    lengths = {"B": call.sizes.batch, "M": call.sizes.m, "N": call.sizes.n}
    values: list[int | float] = []
    places: list[tuple[int, str]] = []
    for i, field in enumerate(interface.fields):
        tensor = tables.get(field.ref) if field.ref is not None else tensors.get(field.name, lists.get(field.name))
        match field.meaning:
            case Meaning.DATA | Meaning.TENSOR | Meaning.TILES:
                values.append(0 if tensor is None else tensor.data_ptr())
                if field.meaning is Meaning.DATA or (field.ref is not None and field.ref.derived is None):
                    places.append((i, field.name))
            case Meaning.LENGTH:
                values.append(lengths[field.name])
            case Meaning.STRIDE | Meaning.TILES_STRIDE:
                values.append(_stride(tensor, field))
            case Meaning.SIZE:
                values.append(tensor.shape[field.dim])  # type: ignore[union-attr]
            case Meaning.PARAM:
                values.append(call.params[field.name])
                places.append((i, field.name))
            case Meaning.SHARED:
                values.append(0)  # the pool has memory for it
    made = bool(tiles) or any(ref.derived is not None for ref in tables)
    keep = (*tiles, *(tensor for ref, tensor in tables.items() if ref.derived is not None or ref.captured))
    return Packed(struct.Struct(interface.format), values, tuple(places), keep, made)


def _stride(tensor: Any, field: Field) -> int:
    """In elements; 0 where the size is 1, which broadcasts."""
    return 0 if tensor is None or tensor.shape[field.dim] == 1 else int(tensor.stride(field.dim))


def check_needs(name: str, interface: Interface, tables: Mapping[TensorRef, Any], sizes: Sizes, heads: Heads) -> None:
    """CallError for a tensor that is shorter than what the kernel reads of it without a check."""
    for need in interface.needs:
        tensor = tables.get(need.tensor)
        if tensor is None or tensor.shape[need.dim] == 1:
            continue
        env = Env({}, {"B": sizes.batch, "H": heads.q, "Hkv": heads.kv, "M": sizes.m, "N": sizes.n})
        wanted = max(int(np.max(evaluate(length, env))) for length in need.lengths)
        if tensor.shape[need.dim] < wanted:
            raise CallError(
                f"shape {list(tensor.shape)}, dimension {need.dim} needs {wanted} elements",
                place=f"{name}, argument `{need.tensor.name}`",
                remedy="pass a longer tensor; a dimension of 1 broadcasts",
            )
