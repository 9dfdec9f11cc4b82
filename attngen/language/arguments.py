"""The arguments of a spec in their short forms, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from attngen.errors import SpecError, did_you_mean
from attngen.language.arrays import DTYPES
from attngen.language.definition import Blocks, HeadDim, Heads
from attngen.language.names import check_argument_name

_LETTERS = ("B", "H", "Hkv", "M", "N")
DTYPE_WORDS = {
    "fp16": "fp16", "float16": "fp16", "half": "fp16", "bf16": "bf16", "bfloat16": "bf16",
    "fp32": "fp32", "float32": "fp32", "float": "fp32",
}  # fmt: skip
_PARAM_WORDS = {"int32": "int32", "int": "int32", "float32": "float32", "float": "float32", "fp32": "float32"}
_TENSOR_WORDS = {**DTYPE_WORDS, "bool": "bool", "int32": "int32", "int": "int32", "int64": "int64", "long": "int64"}
_LARGEST_DIM, _MOST_HEADS = 4096, 65535


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that is passed at the call: letters of B, H, Hkv, M, N or integers, and a dtype."""

    shape: tuple[int | str, ...]
    dtype: str

    def __post_init__(self) -> None:
        shape: Any = self.shape
        if not isinstance(shape, (list, tuple)):
            raise SpecError(f"{shape!r} is no shape", place="shape", remedy='use a list such as ["H", "N"]')
        for size in shape:
            if isinstance(size, str) and size not in _LETTERS:
                raise SpecError(f"`{size}` is no length", place="shape", remedy=did_you_mean(size, _LETTERS))
            if not isinstance(size, str) and (
                isinstance(size, bool) or not isinstance(size, int) or not 1 <= size < 2**31
            ):
                raise SpecError(
                    f"{size!r} is no length", place="shape", remedy="use a positive integer or one of B, H, Hkv, M, N"
                )
        object.__setattr__(self, "shape", tuple(shape))
        object.__setattr__(self, "dtype", word(self.dtype, _TENSOR_WORDS, "dtype", DTYPES))


def word(value: object, words: Mapping[str, str], place: str, known: Sequence[str]) -> str:
    text = str(value).removeprefix("torch.")
    if text not in words:
        raise SpecError(f"{value!r} is no {place}", place=place, remedy=did_you_mean(text, known))
    return words[text]


def _counts(value: Any, place: str, names: tuple[str, str], limit: int) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else value
    if isinstance(pair, Mapping):
        for key in pair:
            if key not in names:
                raise SpecError(f"unknown key `{key}`", place=place, remedy=did_you_mean(str(key), names))
        pair = tuple(pair.get(name) for name in names)
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise SpecError(
            f"{value!r} is neither an integer nor a pair", place=place, remedy=f"use an int or ({names[0]}, {names[1]})"
        )
    for name, item in zip(names, pair, strict=True):
        if isinstance(item, bool) or not isinstance(item, int) or not 1 <= item <= limit:
            raise SpecError(f"{name} = {item!r}", place=place, remedy=f"use an integer from 1 to {limit}")
    return int(pair[0]), int(pair[1])


def as_heads(value: Any) -> Heads:
    """An int (as many key/value heads), a pair (q, kv) or `Heads`."""
    if isinstance(value, Heads):
        value = (value.q, value.kv)
    q, kv = _counts(value, "heads", ("q", "kv"), _MOST_HEADS)
    if q % kv:
        raise SpecError(
            f"{q} query heads do not divide among {kv} key/value heads", place="heads", remedy="make q a multiple of kv"
        )
    return Heads(q, kv)


def as_head_dim(value: Any) -> HeadDim:
    """An int, a pair (qk, v) or `HeadDim`."""
    if isinstance(value, HeadDim):
        value = (value.qk, value.v)
    return HeadDim(*_counts(value, "head_dim", ("qk", "v"), _LARGEST_DIM))


def as_blocks(value: Any) -> Blocks | None:
    """None, an int, a pair (q, kv) or `Blocks`; one of the two sizes may be None."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        _counts({"q": 16, "kv": 16, **value}, "blocks", ("q", "kv"), _LARGEST_DIM)  # checks the keys
        value = (value.get("q"), value.get("kv"))
    if isinstance(value, Blocks):
        value = (value.q, value.kv)
    pair = (value, value) if isinstance(value, int) else value
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise SpecError(f"{value!r} is no pair of tile sizes", place="blocks", remedy="use Blocks(q=128, kv=64)")
    for name, item in zip(("q", "kv"), pair, strict=True):
        is_int = isinstance(item, int) and not isinstance(item, bool)
        if item is not None and not (is_int and 16 <= item <= _LARGEST_DIM and item & (item - 1) == 0):
            remedy = f"use a power of two from 16 to {_LARGEST_DIM}, or None"
            raise SpecError(f"{name} = {item!r}", place="blocks", remedy=remedy)
    return None if pair == (None, None) else Blocks(pair[0], pair[1])


def checked_params(params: Any) -> Mapping[str, str]:
    if not isinstance(params, Mapping):
        raise SpecError(
            f"a {type(params).__name__} is no table of parameters", place="params", remedy='use {"W": "int32"}'
        )
    out = {}
    for name, dtype in params.items():
        check_argument_name(name, "params")
        out[name] = word(dtype, _PARAM_WORDS, f"params.{name}", ("int32", "float32"))
    return MappingProxyType(out)


def checked_tensors(declared: Any, params: Mapping[str, str]) -> Mapping[str, TensorSpec]:
    if not isinstance(declared, Mapping):
        raise SpecError(
            f"a {type(declared).__name__} is no table of tensors",
            place="tensors",
            remedy='use {"bias": TensorSpec(("H", "N"), "fp32")}',
        )
    out = {}
    for name, value in declared.items():
        check_argument_name(name, "tensors")
        if name in params:
            raise SpecError(f"`{name}` is a parameter too", place="tensors", remedy="give each its own name")
        out[name] = _tensor_spec(value, f"tensors.{name}")
    return MappingProxyType(out)


def _tensor_spec(value: Any, place: str) -> TensorSpec:
    if isinstance(value, TensorSpec):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if key not in ("shape", "dtype"):
                raise SpecError(f"unknown key `{key}`", place=place, remedy=did_you_mean(str(key), ("shape", "dtype")))
        value = (value.get("shape"), value.get("dtype"))
    if not isinstance(value, (tuple, list)) or len(value) != 2 or value[0] is None or value[1] is None:
        raise SpecError(
            f"{value!r} declares no tensor", place=place, remedy='use TensorSpec(("H", "N"), "fp32") or {shape, dtype}'
        )
    try:
        return TensorSpec(value[0], value[1])
    except SpecError as error:
        raise SpecError(error.what, place=f"{place}.{error.place}", remedy=error.remedy) from None
