"""The atoms of the grammar: numbers, names, subscripts, functions and brackets."""

from __future__ import annotations

import math
from typing import NoReturn

from attngen.errors import ExpressionError, did_you_mean
from attngen.expr.build import FALSE, SCORE, TRUE, const, index, length, load, make, size
from attngen.expr.op import Expr, Kind, Op
from attngen.language.functions import FUNCTIONS
from attngen.language.operators import OperatorParser
from attngen.language.tokens import Token
from attngen.language.vocabulary import MASKS, SCORES

_CONSTANTS = {"true": TRUE, "false": FALSE, "inf": const(math.inf), "nan": const(math.nan)}


class AtomParser(OperatorParser):
    """Operators over atoms; what the vocabulary's calls look like comes from a subclass."""

    def atom(self) -> Expr:
        token = self.next
        if token.kind == "number":
            return self.number(self.take())
        if token.text == "(":
            self.take()
            expr = self.deeper(token, self.expression)
            self.take(")")
            return expr
        if token.kind == "name" and token.text not in ("and", "or", "not", "if"):
            self.take()
            return self._called(token) if self.next.text == "(" else self._bare(token)
        what = (
            f"`{token.text}` stands where a value is due"
            if token.kind != "end"
            else "the text ends where a value is due"
        )
        self.fail(token, what, self.instead(token) or _advice(token))

    def _bare(self, token: Token) -> Expr:
        name, scope = token.text, self.scope
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name in ("b", "h", "q", "kv"):
            return index(name)
        if name in ("B", "M", "N"):
            return length(name)
        if name in ("H", "Hkv"):
            return const(scope.heads.q if name == "H" else scope.heads.kv)
        if name == "score":
            return self._score(token)
        if name in scope.params:
            return scope.parameter(name)
        if name in scope.declared:
            return self._subscripts(token)
        if name in MASKS or name in SCORES:
            return self.vocabulary(token, called=False)
        self._unknown(token)

    def _score(self, token: Token) -> Expr:
        if not self.allow_score:
            self.fail(
                token,
                "`score` is not known here: a mask cannot depend on it",
                "use score=, with where(condition, score, -inf)",
            )
        return SCORE

    def _unknown(self, token: Token) -> NoReturn:
        scope = self.scope
        known = ["b", "h", "q", "kv", "B", "H", "Hkv", "M", "N", *scope.params, *scope.declared]
        names = [
            *known,
            *(["score"] if self.allow_score else []),
            *MASKS,
            *(SCORES if self.allow_score else []),
            *FUNCTIONS,
        ]
        near = did_you_mean(token.text, names)
        if near.startswith("known"):
            near = f"known: {', '.join(known)}, the vocabulary and functions; declare others in `params` or `tensors`"
        self.fail(token, f"unknown name `{token.text}`", near)

    def _subscripts(self, token: Token) -> Expr:
        """``t[i, j]``; a tensor without dimensions is just named."""
        ref = self.scope.declared[token.text]
        self.scope.used.add(ref.name)
        items: list[Expr] = []
        if self.next.text == "[":
            opening = self.take()
            while self.next.text != "]":
                items.append(self.deeper(opening, self.expression))
                if self.next.text != "]":
                    self.take(",")
            self.take("]")
        if len(items) != ref.rank:
            self.fail(
                token,
                f"`{ref.name}` has {ref.rank} dimensions and {len(items)} subscripts",
                "give one subscript a dimension",
            )
        for dim, item in enumerate(items):
            if item.kind is not Kind.INT:
                self.fail(
                    token, f"subscript {dim} of `{ref.name}` is of kind {item.kind.value}", "subscripts are integers"
                )
            if item.op is Op.CONST and item.value < 0:  # counts from the end
                items[dim] = make(Op.ADD, size(ref, dim), item)
        return load(ref, items)

    def _called(self, token: Token) -> Expr:
        if token.text == "size":
            return self._size(token)
        if token.text in FUNCTIONS:
            function, arity = FUNCTIONS[token.text]
            args = self._plain_arguments()
            if len(args) != arity:
                form = f"write {token.text}({', '.join('xyz'[:arity])})"
                self.fail(token, f"`{token.text}` takes {arity} argument(s) and has {len(args)}", form)
            try:
                return function(*args)
            except ExpressionError as error:
                self.fail(token, error.what, error.remedy)
        if token.text in MASKS or token.text in SCORES:
            return self.vocabulary(token, called=True)
        if token.text in self.scope.declared:
            self.fail(token, f"the tensor `{token.text}` is called", f"subscript it: {token.text}[...]")
        self.fail(token, f"unknown function `{token.text}`", did_you_mean(token.text, [*FUNCTIONS, *MASKS, *SCORES]))

    def _plain_arguments(self) -> list[Expr]:
        opening, args = self.take("("), []
        while self.next.text != ")":
            args.append(self.deeper(opening, self.expression))
            if self.next.text != ")":
                self.take(",")
        self.take(")")
        return args

    def _size(self, token: Token) -> Expr:
        self.take("(")
        name = self.take()
        self.take(",")
        dim = self.take()
        self.take(")")
        ref = self.scope.declared.get(name.text)
        if ref is None:
            self.fail(
                name, f"`{name.text}` is no declared tensor", f"declared: {', '.join(self.scope.declared) or 'none'}"
            )
        if not dim.text.isdigit() or int(dim.text) >= ref.rank:
            self.fail(dim, f"`{ref.name}` has no dimension {dim.text}", f"it has {ref.rank}, counted from 0")
        self.scope.used.add(ref.name)
        return size(ref, int(dim.text))

    def vocabulary(self, token: Token, *, called: bool) -> Expr:
        raise NotImplementedError


def _advice(token: Token) -> str:
    if token.kind == "string":
        return "names stand without quotes; text in quotes is for arguments of the vocabulary"
    return "put a number, a name or something in brackets there"
