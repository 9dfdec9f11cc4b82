"""Expression strings: ``"kv <= q & (q - kv < W | kv < 4)"``. Our own parser; nothing is ever evaluated as Python.

Weakest first: ``|``, ``^``, ``&``, comparisons (which chain), ``+ -``, ``* / // %``, prefix ``- ~``, atoms.
An atom is a number, a name, ``t[i, j]``, ``f(x)``, a vocabulary entry with or without arguments, or
an expression in brackets.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from attngen.errors import AttngenError, ExpressionError, did_you_mean
from attngen.expr.build import to_float
from attngen.expr.op import Expr, Kind, Op
from attngen.language.atoms import AtomParser
from attngen.language.normalizers import sigmoid
from attngen.language.operators import DEEPEST
from attngen.language.scope import Scope
from attngen.language.term import SigmoidTerm
from attngen.language.tokens import Token, fail
from attngen.language.vocabulary import MASKS, SCORES

_LITERALS: dict[str, Any] = {"true": True, "false": False, "inf": math.inf, "nan": math.nan}


def parse_mask(text: str, scope: Scope) -> Expr:
    """A bool expression."""
    expr = Parser(text, scope, allow_score=False).whole()
    if expr.kind is not Kind.BOOL:
        fail(text, 0, f"a mask is a condition, and this is of kind {expr.kind.value}", "compare: for example `kv <= q`")
    return expr


def parse_score(text: str, scope: Scope) -> Expr:
    """A float expression, in terms of ``score``."""
    expr = Parser(text, scope, allow_score=True).whole()
    if expr.kind is Kind.BOOL:
        fail(
            text,
            0,
            "a score is a number, and this is a condition",
            "choose with where(condition, score, -inf), or use mask=",
        )
    return to_float(expr)


def parse_number(text: str, scope: Scope) -> Expr:
    """Any expression without ``score``: an argument of the vocabulary."""
    return Parser(text, scope, allow_score=False).whole()


def parse_normalizer(text: str, scope: Scope) -> SigmoidTerm:
    """``sigmoid`` or ``sigmoid(bias=...)``."""
    parser = Parser(text, scope, allow_score=False)
    name = parser.take()
    if name.text != "sigmoid":
        fail(text, name.start, f"`{name.text}` is no normaliser", did_you_mean(name.text, ["softmax", "sigmoid"]))
    args, named = parser.arguments() if parser.next.text == "(" else ([], {})
    parser.end()
    return parser.call(name, sigmoid, args, named)  # type: ignore[no-any-return]


class Parser(AtomParser):
    """The whole grammar: atoms include entries of the vocabulary, with arguments of their own."""

    _in_vocabulary = False

    def vocabulary(self, token: Token, *, called: bool) -> Expr:
        args, named = self.arguments() if called else ([], {})
        if token.text in SCORES and not self.allow_score:
            self.fail(token, f"`{token.text}` is a score, not a mask", "pass it as score=")
        entry: Callable[..., Any] = MASKS[token.text] if token.text in MASKS else SCORES[token.text]
        term = self.call(token, entry, args, named)
        try:
            return term.lower(self.scope)  # type: ignore[no-any-return]
        except ExpressionError:
            raise
        except AttngenError as error:
            self.fail(token, f"{error.place}: {error.what}", error.remedy)

    def call(self, token: Token, entry: Callable[..., Any], args: list[Any], named: dict[str, Any]) -> Any:
        """The vocabulary entry with these arguments; errors point at its name."""
        try:
            inspect.signature(entry).bind(*args, **named)
        except TypeError as error:
            self.fail(token, f"{token.text}: {error}", f"its form is {token.text}{_form(entry)}")
        try:
            return entry(*args, **named)
        except AttngenError as error:
            self.fail(token, f"{error.place}: {error.what}", error.remedy)

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments of a vocabulary entry."""
        opening = self.take("(")
        if self._in_vocabulary:
            self.fail(opening, "a vocabulary entry inside an argument of another one", "join masks with & | ~")
        self._in_vocabulary = True
        args: list[Any] = []
        named: dict[str, Any] = {}
        while self.next.text != ")":
            name = self.next
            if name.kind == "name" and self.tokens[self.at + 1].text == "=":
                self.take(), self.take()
                if name.text in named:
                    self.fail(name, f"`{name.text}` is given twice", "give it once")
                named[name.text] = self._argument()
            elif named:
                self.fail(name, "an argument without a name follows one with a name", "put it first")
            else:
                args.append(self._argument())
            if self.next.text != ")":
                self.take(",")
        self.take(")")
        self._in_vocabulary = False
        return args, named

    def _argument(self) -> Any:
        """A literal, a list of them, or the text of an expression (a name stays a name)."""
        if self.next.text == "[":
            return self._list()
        token, after = self.next, self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if token.kind == "string":
            return self.take().text[1:-1]
        if token.kind == "name" and after.text in (",", ")"):
            self.take()
            return _LITERALS.get(token.text, token.text)
        expr = self.expression()
        if expr.op is Op.CONST:
            return expr.value
        return self.text[token.start : self.tokens[self.at - 1].end]

    def _list(self) -> list[Any]:
        opening, items = self.take("["), []
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(opening, f"nested more than {DEEPEST} deep", "declare a tensor")
        while self.next.text != "]":
            token = self.next
            item = self._list() if token.text == "[" else self.prefix()
            if isinstance(item, Expr):
                if item.op is not Op.CONST:
                    self.fail(token, "a list holds numbers", "declare a tensor for values that are known at the call")
                item = item.value
            items.append(item)
            if self.next.text != "]":
                self.take(",")
        self.take("]")
        self.depth -= 1
        return items


def _form(entry: Callable[..., Any]) -> str:
    """``(w, right=None)``: the parameters without their types."""
    signature = inspect.signature(entry)
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
