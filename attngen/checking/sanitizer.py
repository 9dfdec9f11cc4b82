"""Catches every read and write outside its tensor while a kernel is interpreted (Triton 3.6 to 3.9).

A pointer remembers the tensor argument that it came from, through additions and reshapes, so reading
K's memory through Q's pointer is found even where the two lie side by side. Pointers whose origin is
lost (tensor descriptors) must at least stay inside some argument.

    with sanitizer():
        kernel[grid](*args, **constants)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from attngen.runtime.interpreter import repair

_KEY = "attngen.extent"
_FOLLOWED = (
    "create_addptr",
    "create_bitcast",
    "create_splat",
    "create_broadcast",
    "create_expand_dims",
    "create_reshape",
    "create_trans",
)
_ACCESSES = {
    # method: (what to call it, position of the pointer, position of the mask or None)
    "create_masked_load": ("load", 0, 1),
    "create_masked_store": ("store", 0, 2),
    "create_atomic_rmw": ("atomic", 1, 3),
    "create_atomic_cas": ("atomic", 0, None),
}


class OutOfBounds(IndexError):
    """A kernel touched memory that does not belong to the tensor its pointer came from."""


@dataclass(frozen=True)
class Extent:
    """The bytes between the first and the last element of a tensor argument."""

    low: int
    high: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, tensor: Any) -> Extent:
        low = tensor.data_ptr()
        last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        size = (last + 1) * tensor.element_size() if tensor.numel() else 0
        return cls(low, low + size, tuple(tensor.shape), tuple(tensor.stride()), str(tensor.dtype))


def _check(what: str, pointers: Any, mask: Any, known: list[Extent]) -> None:
    addresses = pointers.data
    if mask is not None:
        bits = mask.data if hasattr(mask, "dtype") and hasattr(mask.dtype, "scalar") else mask
        bits = np.broadcast_to(np.asarray(bits, dtype=bool), addresses.shape)
        addresses = addresses if bits.all() else addresses[bits]
    if addresses.size == 0:
        return
    size = max(1, pointers.get_element_ty().primitive_bitwidth // 8)
    low, high = int(addresses.min()), int(addresses.max()) + size
    extent = pointers.attr.get(_KEY)
    if extent is not None:
        if low < extent.low or high > extent.high:
            before, after = max(0, extent.low - low), max(0, high - extent.high)
            raise OutOfBounds(
                f"{what} outside a {extent.dtype} tensor of {list(extent.shape)}, strides {list(extent.strides)}: "
                f"{before} bytes before its start, {after} bytes after its end"
            )
    elif not any(e.low <= low and high <= e.high for e in known):
        raise OutOfBounds(f"{what} of [{low:#x}, {high:#x}), inside no tensor argument")


@contextmanager
def sanitizer() -> Iterator[None]:
    """Within the block, an access outside its tensor raises `OutOfBounds` (see `cause`)."""
    from triton.runtime import interpreter

    repair()  # before anything is wrapped: what is put back at the end would else be the unrepaired interpreter
    builder = interpreter.InterpreterBuilder
    known: list[Extent] = []
    saved = {name: getattr(builder, name) for name in (*_FOLLOWED, *_ACCESSES) if hasattr(builder, name)}
    convert = interpreter._implicit_cvt

    def remember(arg: Any) -> Any:
        value = convert(arg)
        if hasattr(arg, "data_ptr"):
            extent = Extent.of(arg)
            known.append(extent)
            value.handle.attr[_KEY] = extent
        return value

    def followed(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **options: Any) -> Any:
            result = original(self, *args, **options)
            for arg in args:
                extent = getattr(arg, "attr", {}).get(_KEY)
                if extent is not None:
                    result.attr[_KEY] = extent
            return result

        return method

    def checked(original: Callable[..., Any], what: str, pointer: int, mask: int | None) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **options: Any) -> Any:
            _check(what, args[pointer], None if mask is None else args[mask], known)
            return original(self, *args, **options)

        return method

    for name in saved:
        new = checked(saved[name], *_ACCESSES[name]) if name in _ACCESSES else followed(saved[name])
        setattr(builder, name, new)
    interpreter._implicit_cvt = remember
    try:
        yield
    finally:
        interpreter._implicit_cvt = convert
        for name, original in saved.items():
            setattr(builder, name, original)


def cause(error: BaseException) -> BaseException:
    """What a kernel raised, under the interpreter's wrappers."""
    while type(error).__name__ == "InterpreterError" and error.__cause__ is not None:
        error = error.__cause__
    return error
