"""The operators of the grammar, by precedence climbing over tokens. What an atom is comes from a subclass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn

from attngen.errors import ExpressionError
from attngen.expr.build import all_of, const, make
from attngen.expr.op import Expr, Kind, Op, walk
from attngen.language.functions import apply
from attngen.language.scope import Scope
from attngen.language.tokens import Token, fail, tokenize

DEEPEST = 100
_MOST_NODES = 3_000
_LARGEST_INT = 2**31 - 1

_COMPARISON = {"<": Op.LT, "<=": Op.LE, ">": Op.GT, ">=": Op.GE, "==": Op.EQ, "!=": Op.NE}
_ARITHMETIC = {"+": Op.ADD, "-": Op.SUB, "*": Op.MUL, "/": Op.DIV, "//": Op.FLOORDIV, "%": Op.MOD}
_LOGIC = {"|": Op.OR, "^": Op.XOR, "&": Op.AND}
_STRENGTH = {
    "|": 1,
    "^": 2,
    "&": 3,
    **dict.fromkeys(_COMPARISON, 4),
    "+": 5,
    "-": 5,
    **dict.fromkeys(("*", "/", "//", "%"), 6),
}
_BITS = {"|": "bit_or", "^": "bit_xor", "&": "bit_and"}
_INSTEAD = {
    "and": "&", "or": "|", "not": "~", "&&": "&", "||": "|", "!": "~", "**": "pow(x, n)",
    "if": "where(condition, a, b)", "<<": "shift_left(x, n)", ">>": "shift_right(x, n)", "=": "==",
}  # fmt: skip


class OperatorParser:
    """A cursor over the tokens of one text, and the operators."""

    def __init__(self, text: str, scope: Scope, *, allow_score: bool) -> None:
        self.text, self.scope, self.allow_score = text, scope, allow_score
        self.tokens = tokenize(text)
        self.at = self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self, sign: str = "") -> Token:
        token = self.next
        if sign and token.text != sign:
            found = f"`{token.text}` stands" if token.kind != "end" else "the text ends"
            self.fail(token, f"{found} where `{sign}` is due", self.instead(token) or f"put `{sign}` there")
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def fail(self, token: Token, what: str, remedy: str = "") -> NoReturn:
        fail(self.text, token.start, what, remedy)

    def instead(self, token: Token) -> str:
        return f"write {_INSTEAD[token.text]} for {token.text}" if token.text in _INSTEAD else ""

    def whole(self) -> Expr:
        if self.next.kind == "end":
            self.fail(self.next, "the expression is empty", "for example `kv <= q`")
        expr = self.expression()
        self.end()
        count = sum(1 for _ in walk(expr))
        if count > _MOST_NODES:
            raise ExpressionError(
                f"an expression of {count} operations", remedy=f"at most {_MOST_NODES}; capture a tensor instead"
            )
        return expr

    def end(self) -> None:
        if self.next.kind != "end":
            remedy = self.instead(self.next) or "join with an operator, or remove it"
            self.fail(self.next, f"`{self.next.text}` does not continue the expression", remedy)

    def expression(self, floor: int = 1) -> Expr:
        """Operators that bind at least as strongly as ``floor``, by precedence climbing."""
        left = self.prefix()
        while self.next.kind == "sign" and _STRENGTH.get(self.next.text, 0) >= floor:
            sign = self.take()
            if sign.text in _COMPARISON:
                left = self._compared(left, sign)
            else:
                left = self._joined(sign, left, self.expression(_STRENGTH[sign.text] + 1))
        return left

    def _compared(self, left: Expr, sign: Token) -> Expr:
        """``a <= b < c`` is ``(a <= b) & (b < c)``, as in Python."""
        tests = []
        while True:
            right = self.expression(_STRENGTH[sign.text] + 1)
            tests.append(apply(_COMPARISON[sign.text], left, right))
            if self.next.text not in _COMPARISON:
                return all_of(tests)
            left, sign = right, self.take()

    def _joined(self, sign: Token, left: Expr, right: Expr) -> Expr:
        if sign.text in _ARITHMETIC:
            return apply(_ARITHMETIC[sign.text], left, right)
        for side in (left, right):
            if side.kind is not Kind.BOOL:
                self.fail(
                    sign,
                    f"`{sign.text}` joins conditions, and one side is of kind {side.kind.value}",
                    f"compare first; for the bits of integers use {_BITS[sign.text]}(a, b)",
                )
        return make(_LOGIC[sign.text], left, right)

    def prefix(self) -> Expr:
        token = self.next
        if token.text not in ("-", "~"):
            return self.atom()
        self.take()
        if token.text == "-" and (self.next.kind == "number" or self.next.text == "inf"):
            return self.number(self.take(), negative=True)
        inner = self.deeper(token, self.prefix)
        if token.text == "-":
            return apply(Op.NEG, inner)
        if inner.kind is not Kind.BOOL:
            self.fail(
                token,
                f"`~` of kind {inner.kind.value}",
                "put the condition in brackets: ~(kv <= q); for bits use bit_not(x)",
            )
        return make(Op.NOT, inner)

    def deeper(self, token: Token, parse: Callable[[], Expr]) -> Expr:
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(token, f"nested more than {DEEPEST} deep", "split it into several masks or score steps")
        expr = parse()
        self.depth -= 1
        return expr

    def number(self, token: Token, negative: bool = False) -> Expr:
        sign = -1 if negative else 1
        if token.text == "inf":
            return const(sign * math.inf)
        if not token.text.isdigit():
            value = float(token.text)
            if math.isinf(value):
                self.fail(token, "this number is beyond floats", "use inf")
            return const(sign * value)
        if len(token.text) > 10 or int(token.text) > _LARGEST_INT + negative:
            self.fail(token, "this integer does not fit int32", f"use at most {_LARGEST_INT}, or a float such as 1e10")
        return const(sign * int(token.text))

    def atom(self) -> Expr:
        raise NotImplementedError
