"""Masks, scores and normalisers as values: a text where there is one, and how they become an expression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from attngen.errors import SpecError
from attngen.expr.build import make
from attngen.expr.op import Expr, Kind, Op
from attngen.language.proxy import Proxy
from attngen.language.scope import Scope
from attngen.language.trace import trace_mask, trace_score

Lower = Callable[[Scope], Expr]
_STRENGTH = {"|": 1, "^": 2, "&": 3, "": 9}


@dataclass(frozen=True, eq=False)
class Mask:
    """Which keys a query sees. Combine with ``&``, ``|``, ``^`` and ``~``; callables and texts join in.

    ``text`` is the mask in the language of strings, None where only Python has it (a callable, a tensor).
    """

    text: str | None
    lower: Lower = field(repr=False)
    sign: str = field(default="", repr=False)

    def __and__(self, other: Any) -> Mask:
        return _combine(self, as_mask(other), "&", Op.AND)

    def __rand__(self, other: Any) -> Mask:
        return _combine(as_mask(other), self, "&", Op.AND)

    def __or__(self, other: Any) -> Mask:
        return _combine(self, as_mask(other), "|", Op.OR)

    def __ror__(self, other: Any) -> Mask:
        return _combine(as_mask(other), self, "|", Op.OR)

    def __xor__(self, other: Any) -> Mask:
        return _combine(self, as_mask(other), "^", Op.XOR)

    def __rxor__(self, other: Any) -> Mask:
        return _combine(as_mask(other), self, "^", Op.XOR)

    def __invert__(self) -> Mask:
        text = None if self.text is None else f"~{_wrapped(self, 9)}"
        return Mask(text, lambda scope: make(Op.NOT, self.lower(scope)))

    def __reduce__(self) -> str | tuple[Any, ...]:
        return super().__reduce__() if self.text is None else (as_mask, (self.text,))

    def __bool__(self) -> bool:
        raise SpecError(
            "a mask has no truth value", place="mask", remedy="join masks with & | ~ instead of and, or, not"
        )


@dataclass(frozen=True, eq=False)
class Score:
    """One step on the score. ``lower`` gives a float expression of SCORE, the score before the step."""

    text: str | None
    lower: Lower = field(repr=False)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return super().__reduce__() if self.text is None else (as_score, (self.text,))


@dataclass(frozen=True, eq=False)
class SigmoidTerm:
    """sigmoid(score + bias) in place of the softmax; see `attngen.language.normalizers.sigmoid`."""

    text: str
    lower: Lower = field(repr=False)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return str, (self.text,)


def _wrapped(mask: Mask, floor: int) -> str:
    return f"{mask.text}" if _STRENGTH[mask.sign] >= floor else f"({mask.text})"


def _combine(a: Mask, b: Mask, sign: str, op: Op) -> Mask:
    strength = _STRENGTH[sign]
    text = None
    if a.text is not None and b.text is not None:
        text = f"{_wrapped(a, strength)} {sign} {_wrapped(b, strength + 1)}"
    return Mask(text, lambda scope: make(op, a.lower(scope), b.lower(scope)), sign)


def as_mask(value: Any) -> Mask:
    """A vocabulary mask, an expression string or a mask_mod, as a `Mask`."""
    match value:
        case Mask():
            return value
        case Score() | SigmoidTerm():
            raise SpecError(
                f"`{value.text or 'a score'}` is no mask", place="mask", remedy="pass it as score= or normalizer="
            )
        case str():
            return Mask(value, lambda scope: _parsed_mask(value, scope), "|")
        case _ if callable(value):
            return Mask(None, lambda scope: trace_mask(value, scope.capture, scope.pin))
        case _:
            raise SpecError(
                f"a {type(value).__name__} is no mask",
                place="mask",
                remedy='use vocabulary such as causal(), a text such as "kv <= q", or mask_mod(b, h, q_idx, kv_idx)',
            )


def as_score(value: Any) -> Score:
    """A vocabulary score, an expression string or a score_mod, as a `Score`."""
    match value:
        case Score():
            return value
        case Mask() | SigmoidTerm():
            raise SpecError(
                f"`{value.text or 'a mask'}` is no score", place="score", remedy="pass it as mask= or normalizer="
            )
        case str():
            return Score(value, lambda scope: _parsed_score(value, scope))
        case _ if callable(value):
            return Score(None, lambda scope: trace_score(value, scope.capture, scope.pin))
        case _:
            raise SpecError(
                f"a {type(value).__name__} is no score",
                place="score",
                remedy='use vocabulary such as alibi(), a text: "score * 2", or score_mod(score, b, h, q_idx, kv_idx)',
            )


def _parsed_mask(text: str, scope: Scope) -> Expr:
    from attngen.language.grammar import parse_mask

    return parse_mask(text, scope)


def _parsed_score(text: str, scope: Scope) -> Expr:
    from attngen.language.grammar import parse_score

    return parse_score(text, scope)


def call_text(name: str, *args: Any, **named: Any) -> str | None:
    """``name(args)`` in the language of strings; None when an argument is an array."""
    parts = [_argument(value) for value in args]
    parts += [
        None if (text := _argument(value)) is None else f"{key}={text}"
        for key, value in named.items()
        if value is not None
    ]
    if any(part is None for part in parts):
        return None
    return f"{name}({', '.join(str(part) for part in parts)})" if parts else name


def _argument(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return value
        case list() | tuple():
            items = [_argument(item) for item in value]
            return None if any(item is None for item in items) else f"[{', '.join(map(str, items))}]"
        case _:
            return None


def vocabulary_mask(text: str | None, keep: Callable[[Scope], Proxy]) -> Mask:
    return Mask(text, lambda scope: _of_kind(keep(scope).expr, Kind.BOOL))


def vocabulary_score(text: str | None, step: Callable[[Scope], Proxy]) -> Score:
    return Score(text, lambda scope: _of_kind(step(scope).expr, Kind.FLOAT))


def _of_kind(expr: Expr, kind: Kind) -> Expr:
    assert expr.kind is kind, f"a vocabulary entry gave {expr.kind} where {kind} is due"
    return expr
