"""Words, numbers and signs of an expression string, and errors that point into it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from attngen.errors import ExpressionError

LONGEST_TEXT = 10_000
_SHOWN = 72
_FORM = "an expression is like `kv <= q & (q - kv < 8 | kv < 4)`; docs/language.md has the grammar"

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(\d+\.\d*|\.\d+)([eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>"[^"\n]*"|'[^'\n]*')
      | (?P<sign>\*\*|//|<=|>=|==|!=|<<|>>|&&|\|\||[-+*/%<>=&|^~!()\[\],])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: number, name, string, sign or end; ``start`` and ``end`` are offsets in the text."""

    kind: str
    text: str
    start: int
    end: int


def fail(text: str, at: int, what: str, remedy: str = "") -> NoReturn:
    """An error with the column and a caret under it. Without a remedy of its own it shows what an expression is."""
    begin = max(0, at - _SHOWN // 2)
    line = text[begin : begin + _SHOWN].replace("\n", " ").replace("\t", " ")
    shown = "".join(c if c.isprintable() else "?" for c in line)
    caret = " " * (at - begin) + "^"
    raise ExpressionError(f"{what}\n  {shown}\n  {caret}", place=f"column {at + 1}", remedy=remedy or _FORM)


def tokenize(text: str) -> list[Token]:
    """The tokens of a text, an ``end`` token last."""
    if len(text) > LONGEST_TEXT:
        raise ExpressionError(
            f"an expression of {len(text)} characters",
            remedy=f"at most {LONGEST_TEXT}; use a callable or a tensor for more",
        )
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            fail(text, at, f"{_named(text[at])} does not belong in an expression", _advice(text[at]))
        if match.group("space") is None:
            kind = next(k for k in ("number", "name", "string", "sign") if match.group(k) is not None)
            tokens.append(Token(kind, match.group(), at, match.end()))
        at = match.end()
    return [*tokens, Token("end", "", at, at)]


def _named(char: str) -> str:
    return f"`{char}`" if char.isprintable() else f"the character U+{ord(char):04X}"


def _advice(char: str) -> str:
    if char in "\"'":
        return "close the string"
    return "use names, numbers, + - * / // %, comparisons, & | ^ ~, brackets and functions"
