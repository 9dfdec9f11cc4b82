"""`AttentionSpec`: what a user writes to define one attention variant."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType
from typing import Any

from attngen.errors import SpecError, did_you_mean
from attngen.expr.build import SCORE, TRUE, const, param, substitute
from attngen.expr.op import Expr, Op, Param, TensorRef, walk
from attngen.language.arrays import DTYPES
from attngen.language.definition import Blocks, Definition, HeadDim, Heads, Sigmoid, Softmax
from attngen.language.fingerprint import fingerprint
from attngen.language.grammar import parse_number
from attngen.language.names import check_argument_name, check_spec_name
from attngen.language.normalizers import lower_normalizer
from attngen.language.scope import Scope
from attngen.language.term import Mask, Score, SigmoidTerm, as_mask, as_score

_LETTERS = ("B", "H", "Hkv", "M", "N")
_DTYPE_WORDS = {
    "fp16": "fp16", "float16": "fp16", "half": "fp16", "bf16": "bf16", "bfloat16": "bf16",
    "fp32": "fp32", "float32": "fp32", "float": "fp32",
}  # fmt: skip
_PARAM_WORDS = {"int32": "int32", "int": "int32", "float32": "float32", "float": "float32", "fp32": "float32"}
_TENSOR_WORDS = {**_DTYPE_WORDS, "bool": "bool", "int32": "int32", "int": "int32", "int64": "int64", "long": "int64"}
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
            if not isinstance(size, str) and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
                raise SpecError(
                    f"{size!r} is no length", place="shape", remedy="use a positive integer or one of B, H, Hkv, M, N"
                )
        object.__setattr__(self, "shape", tuple(shape))
        object.__setattr__(self, "dtype", _word(self.dtype, _TENSOR_WORDS, "dtype", DTYPES))


MaskLike = Mask | str | Callable[..., Any] | None
ScoreStep = Score | str | Callable[..., Any]


@dataclass(frozen=True, eq=False)
class AttentionSpec:
    """One attention variant, for tensors q [B, H, M, D] and k, v [B, Hkv, N, D].

    ``heads``: an int, (q, kv) or `Heads`. ``head_dim``: an int, (qk, v) or `HeadDim`. ``mask`` and
    ``score``: vocabulary, expression strings or FlexAttention callables; ``score`` may be a list, applied
    in order. ``scale``: a float or the name of a float32 parameter; None is 1/sqrt(qk). ``dtype``: fp16,
    bf16, fp32, or None for that of the tensors at the call. ``sink``: "off_by_one", or one learned logit
    a head: a tensor [H] or the name of a declared one. ``blocks`` pins tile sizes. ``params`` declares
    run-time scalars ("int32" or "float32"), ``tensors`` tensors that are passed at the call.

    Frozen and checked. Two specs are equal when they mean the same, have one name and hold the same tensors.
    """

    name: str
    heads: Heads
    head_dim: HeadDim
    mask: MaskLike = None
    score: ScoreStep | Sequence[ScoreStep] | None = None
    scale: float | str | None = None
    dtype: str | None = None
    normalizer: str | SigmoidTerm = "softmax"
    sink: Any = None
    blocks: Blocks | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, TensorSpec] = field(default_factory=dict)
    doc: str = ""
    tf32: bool = False

    definition: Definition = field(init=False, repr=False)
    """What the spec means, as expressions."""
    fingerprint: str = field(init=False, repr=False)
    """sha256 of the content. Names of the spec and of captured tensors do not enter, nor do captured values."""
    captured: Mapping[str, Any] = field(init=False, repr=False)
    """Captured tensors by name, in the order of `definition.tensors`; replaceable by name at a call."""

    def __post_init__(self) -> None:
        check_spec_name(self.name)
        for name, value in (
            ("heads", as_heads(self.heads)),
            ("head_dim", as_head_dim(self.head_dim)),
            ("blocks", as_blocks(self.blocks)),
            (
                "dtype",
                None if self.dtype is None else _word(self.dtype, _DTYPE_WORDS, "dtype", ("fp16", "bf16", "fp32")),
            ),
            ("params", _checked_params(self.params)),
            ("tensors", _checked_tensors(self.tensors, self.params)),
        ):
            object.__setattr__(self, name, value)
        if not isinstance(self.doc, str):
            raise SpecError(f"{self.doc!r} is no text", place="doc", remedy="use a string")
        if not isinstance(self.tf32, bool):
            raise SpecError(f"{self.tf32!r} is no truth value", place="tf32", remedy="use True or False")
        if isinstance(self.score, (list, tuple)):
            object.__setattr__(self, "score", tuple(self.score))
        definition, captured = _define(self)
        object.__setattr__(self, "definition", definition)
        object.__setattr__(self, "captured", MappingProxyType(captured))
        object.__setattr__(self, "fingerprint", fingerprint(definition, self.blocks))

    def replace(self, **changes: Any) -> AttentionSpec:
        """The spec with other arguments."""
        known = [f.name for f in fields(self) if f.init]
        for name in changes:
            if name not in known:
                raise SpecError(f"`{name}` is no argument of a spec", place="replace", remedy=did_you_mean(name, known))
        return AttentionSpec(**{name: getattr(self, name) for name in known} | changes)

    def __reduce__(self) -> str | tuple[Any, ...]:
        arguments = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        plain = arguments | {"params": dict(self.params), "tensors": dict(self.tensors)}
        return partial(AttentionSpec, **plain), ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AttentionSpec):
            return NotImplemented
        mine, theirs = list(self.captured.values()), list(other.captured.values())
        return (
            self.fingerprint == other.fingerprint
            and self.name == other.name
            and list(self.captured) == list(other.captured)
            and all(_same_array(a, b) for a, b in zip(mine, theirs, strict=True))
        )

    def __hash__(self) -> int:
        return hash((self.fingerprint, self.name))


def _same_array(a: Any, b: Any) -> bool:
    """One object, or two lists of one content (arrays made of lists cannot change)."""
    if a is b:
        return True
    frozen = all(getattr(getattr(x, "flags", None), "writeable", True) is False for x in (a, b))
    return frozen and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())


# arguments


def _word(value: object, words: Mapping[str, str], place: str, known: Sequence[str]) -> str:
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
        if item is not None and (isinstance(item, bool) or not isinstance(item, int) or item < 16 or item & (item - 1)):
            raise SpecError(f"{name} = {item!r}", place="blocks", remedy="use a power of two from 16 on, or None")
    return None if pair == (None, None) else Blocks(pair[0], pair[1])


def _checked_params(params: Any) -> Mapping[str, str]:
    if not isinstance(params, Mapping):
        raise SpecError(
            f"a {type(params).__name__} is no table of parameters", place="params", remedy='use {"W": "int32"}'
        )
    out = {}
    for name, dtype in params.items():
        check_argument_name(name, "params")
        out[name] = _word(dtype, _PARAM_WORDS, f"params.{name}", ("int32", "float32"))
    return MappingProxyType(out)


def _checked_tensors(declared: Any, params: Mapping[str, str]) -> Mapping[str, TensorSpec]:
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


# meaning


def _define(spec: AttentionSpec) -> tuple[Definition, dict[str, Any]]:
    params = {name: Param(name, dtype) for name, dtype in spec.params.items()}
    declared = {name: TensorRef(name, t.dtype, t.shape) for name, t in spec.tensors.items()}
    scope = Scope(spec.heads, params, declared, parse_number)
    scale = _scale(spec, scope)
    mask = _at("mask", lambda: TRUE if spec.mask is None else as_mask(spec.mask).lower(scope))
    score = SCORE
    steps = () if spec.score is None else spec.score if isinstance(spec.score, tuple) else (spec.score,)
    for i, step in enumerate(steps):
        place = f"score[{i}]" if len(steps) > 1 else "score"
        score = substitute(_at(place, lambda step=step: as_score(step).lower(scope)), {SCORE: score})  # type: ignore[misc]
    normalizer = lower_normalizer(spec.normalizer, spec.sink, scope)
    mask, score = scope.finish(mask), scope.finish(score)
    for name in (*params, *declared):
        if name not in scope.used:
            raise SpecError(
                f"`{name}` is declared and never used",
                place="params" if name in params else "tensors",
                remedy="use it in the mask, score, scale or sink, or remove it",
            )
    captured = _captured_refs(mask, score, normalizer)
    definition = Definition(
        heads=spec.heads,
        head_dim=spec.head_dim,
        dtype=spec.dtype,
        tf32=spec.tf32,
        scale=scale,
        mask=mask,
        score=score,
        normalizer=normalizer,
        params=tuple(params.values()),
        tensors=(*declared.values(), *captured),
    )
    return definition, {ref.name: scope.captured[ref.name] for ref in captured}


def _at(place: str, lower: Callable[[], Expr]) -> Expr:
    """Errors without a place of their own get that of the argument."""
    try:
        return lower()
    except SpecError as error:
        raise type(error)(
            error.what, place=f"{place}, {error.place}" if error.place else place, remedy=error.remedy
        ) from error


def _scale(spec: AttentionSpec, scope: Scope) -> Expr:
    value = spec.scale
    if value is None:
        return const(1.0 / math.sqrt(spec.head_dim.qk))
    if isinstance(value, str):
        if value not in scope.params or scope.params[value].dtype != "float32":
            raise SpecError(
                f"{value!r} is no float32 parameter",
                place="scale",
                remedy=f'declare it: params={{"{value}": "float32"}}',
            )
        scope.used.add(value)
        return param(scope.params[value])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SpecError(
            f"{value!r} is no scale",
            place="scale",
            remedy="use a finite float, a float32 parameter, or None for 1/sqrt(qk)",
        )
    return const(float(value))


def _captured_refs(mask: Expr, score: Expr, normalizer: Softmax | Sigmoid) -> list[TensorRef]:
    """Captured tensors in the order of first use; derived ones stand for their sources."""
    found: dict[TensorRef, None] = {}

    def add(ref: TensorRef) -> None:
        if ref.derived is not None:
            for source in ref.derived.sources:
                add(source)
        elif ref.captured:
            found.setdefault(ref)

    for root in (mask, score):
        for node in walk(root):
            if node.op is Op.LOAD:
                add(node.value)
            elif node.op is Op.SIZE:
                add(node.value[0])
    if isinstance(normalizer, Softmax) and isinstance(normalizer.sink, TensorRef):
        add(normalizer.sink)
    return list(found)
