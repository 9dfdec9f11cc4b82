"""The arrays a spec may hold: torch tensors, NumPy arrays and lists, without importing torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.errors import SpecError

DTYPES = ("bool", "int32", "int64", "fp32", "fp16", "bf16")

_NAME = {
    "bool": "bool", "int32": "int32", "int64": "int64", "float32": "fp32", "float16": "fp16", "bfloat16": "bf16",
}  # fmt: skip
# what a kernel does not read is converted once, when it is captured
_WIDEN = {"int8": "int32", "uint8": "int32", "int16": "int32", "uint16": "int32", "float64": "float32"}


def is_torch(value: object) -> bool:
    """A torch tensor (or a subclass such as a Parameter)."""
    return any(t.__module__ == "torch" and t.__name__ == "Tensor" for t in type(value).__mro__)


def is_array(value: object) -> bool:
    """Something with elements: a torch tensor, a NumPy array or a list of numbers (perhaps nested)."""
    return isinstance(value, (np.ndarray, list, tuple)) or is_torch(value)


def _raw_dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")


def dtype_name(value: Any) -> str:
    """The dtype in the language's words; the array has passed `captured_array`."""
    return _NAME[_raw_dtype(value)]


def captured_array(value: Any, place: str) -> Any:
    """The array as a kernel can read it.

    Lists become int32, bool or float32 arrays that nobody can change; 8- and 16-bit integers become
    int32 and float64 becomes float32 (a copy: later changes of the original are not seen). Everything
    else is the object that was given.
    """
    if isinstance(value, (list, tuple)):
        value = _from_list(value, place)
    layout = str(getattr(value, "layout", "strided")).removeprefix("torch.")
    if layout != "strided":
        raise SpecError(f"a tensor of layout {layout}", place=place, remedy="capture it dense: .to_dense()")
    if str(getattr(value, "device", "")) == "meta":
        raise SpecError("a tensor on the device meta has no elements", place=place, remedy="capture one with data")
    if 0 in value.shape:
        raise SpecError(
            f"shape {tuple(value.shape)} has no elements", place=place, remedy="a kernel reads at least one: pad it"
        )
    raw = _raw_dtype(value)
    if raw in _NAME:
        return value
    if raw not in _WIDEN:
        raise SpecError(
            f"`{raw}` is not a dtype that a kernel reads",
            place=place,
            remedy=f"convert it to one of {', '.join(DTYPES)}",
        )
    if is_torch(value):
        return getattr(value, {"int32": "int", "float32": "float"}[_WIDEN[raw]])()
    return np.asarray(value).astype(_WIDEN[raw])


def _from_list(value: Any, place: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise SpecError(
            "a list here holds numbers, in rows of one length, and at least one",
            place=place,
            remedy="for example [0, 0, 1, 1]",
        )
    out: npt.NDArray[Any] = array.astype(
        {"b": np.bool_, "i": np.int32, "u": np.int32, "f": np.float32}[array.dtype.kind]
    )
    if array.dtype.kind in "iu" and not np.array_equal(out, array):
        raise SpecError("an integer does not fit int32", place=place, remedy="use numbers below 2147483648")
    out.setflags(write=False)
    return out


def to_numpy(value: Any) -> npt.NDArray[Any]:
    """The elements as a NumPy array; bf16 widens to float32, which is exact."""
    if is_torch(value):
        value = value.detach().cpu()
        value = value.float() if _raw_dtype(value) == "bfloat16" else value
        return np.asarray(value.numpy())
    return np.asarray(value)
