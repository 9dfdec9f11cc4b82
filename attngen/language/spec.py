"""`AttentionSpec`: what a user writes to define one attention variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType
from typing import Any

from attngen.errors import SpecError, did_you_mean
from attngen.language.arguments import (
    DTYPE_WORDS,
    TensorSpec,
    as_blocks,
    as_head_dim,
    as_heads,
    checked_params,
    checked_tensors,
    word,
)
from attngen.language.define import define
from attngen.language.definition import Blocks, Definition, HeadDim, Heads
from attngen.language.fingerprint import fingerprint
from attngen.language.names import check_spec_name
from attngen.language.term import Mask, Score, SigmoidTerm

LONGEST_DOC = 10_000

__all__ = ["AttentionSpec", "TensorSpec"]

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
                None if self.dtype is None else word(self.dtype, DTYPE_WORDS, "dtype", ("fp16", "bf16", "fp32")),
            ),
            ("params", checked_params(self.params)),
            ("tensors", checked_tensors(self.tensors, self.params)),
        ):
            object.__setattr__(self, name, value)
        if not isinstance(self.doc, str):
            raise SpecError(f"{self.doc!r} is no text", place="doc", remedy="use a string")
        if len(self.doc) > LONGEST_DOC:
            raise SpecError(f"{len(self.doc)} characters", place="doc", remedy=f"at most {LONGEST_DOC}")
        if not isinstance(self.tf32, bool):
            raise SpecError(f"{self.tf32!r} is no truth value", place="tf32", remedy="use True or False")
        if isinstance(self.score, (list, tuple)):
            object.__setattr__(self, "score", tuple(self.score))
        definition, captured = define(self)
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


def as_spec(value: object) -> AttentionSpec:
    """The spec itself; what is none is an error of the verb that was given it."""
    if isinstance(value, AttentionSpec):
        return value
    raise SpecError(
        f"a {type(value).__name__} is no spec",
        place="spec",
        remedy="give an AttentionSpec; attngen.language.toml.load reads one from a file",
    )
