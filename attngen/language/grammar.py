"""Expression strings: ``"kv <= q & (q - kv < W | kv < 4)"``. Our own parser; nothing is ever evaluated as Python.

Weakest first: ``|``, ``^``, ``&``, comparisons (which chain), ``+ -``, ``* / // %``, prefix ``- ~``, atoms.
An atom is a number, a name, ``t[i, j]``, ``f(x)``, a vocabulary entry with or without arguments, or
an expression in brackets.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NoReturn

from attngen.errors import AttngenError, ExpressionError, did_you_mean
from attngen.expr.build import FALSE, SCORE, TRUE, all_of, const, index, length, load, make, size, to_float
from attngen.expr.op import Expr, Kind, Op, walk
from attngen.language.functions import FUNCTIONS, apply
from attngen.language.normalizers import sigmoid
from attngen.language.scope import Scope
from attngen.language.term import SigmoidTerm
from attngen.language.tokens import Token, fail, tokenize
from attngen.language.vocabulary import MASKS, SCORES

_DEEPEST = 100
_MOST_NODES = 5_000
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
_CONSTANTS = {"true": TRUE, "false": FALSE, "inf": const(math.inf), "nan": const(math.nan)}


def parse_mask(text: str, scope: Scope) -> Expr:
    """A bool expression."""
    expr = _Parser(text, scope, allow_score=False).whole()
    if expr.kind is not Kind.BOOL:
        fail(text, 0, f"a mask is a condition, and this is of kind {expr.kind.value}", "compare: for example `kv <= q`")
    return expr


def parse_score(text: str, scope: Scope) -> Expr:
    """A float expression, in terms of ``score``."""
    expr = _Parser(text, scope, allow_score=True).whole()
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
    return _Parser(text, scope, allow_score=False).whole()


def parse_normalizer(text: str, scope: Scope) -> SigmoidTerm:
    """``sigmoid`` or ``sigmoid(bias=...)``."""
    parser = _Parser(text, scope, allow_score=False)
    name = parser.take()
    if name.text != "sigmoid":
        fail(text, name.start, f"`{name.text}` is no normaliser", did_you_mean(name.text, ["softmax", "sigmoid"]))
    args, named = parser.arguments() if parser.next.text == "(" else ([], {})
    parser.end()
    return parser.call(name, sigmoid, args, named)  # type: ignore[no-any-return]


class _Parser:
    def __init__(self, text: str, scope: Scope, *, allow_score: bool) -> None:
        self._text, self._scope, self._allow_score = text, scope, allow_score
        self._tokens = tokenize(text)
        self._at = self._depth = 0
        self._in_vocabulary = False

    # tokens

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    def take(self, sign: str = "") -> Token:
        token = self.next
        if sign and token.text != sign:
            found = f"`{token.text}` stands" if token.kind != "end" else "the text ends"
            self._fail(token, f"{found} where `{sign}` is due", self._instead(token))
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _fail(self, token: Token, what: str, remedy: str = "") -> NoReturn:
        fail(self._text, token.start, what, remedy)

    def _instead(self, token: Token) -> str:
        return f"write {_INSTEAD[token.text]} for {token.text}" if token.text in _INSTEAD else ""

    def whole(self) -> Expr:
        if self.next.kind == "end":
            self._fail(self.next, "the expression is empty", "for example `kv <= q`")
        expr = self._expression()
        self.end()
        count = sum(1 for _ in walk(expr))
        if count > _MOST_NODES:
            raise ExpressionError(
                f"an expression of {count} operations", remedy=f"at most {_MOST_NODES}; capture a tensor instead"
            )
        return expr

    def end(self) -> None:
        if self.next.kind != "end":
            self._fail(self.next, f"`{self.next.text}` does not continue the expression", self._instead(self.next))

    # binary operators

    def _expression(self, floor: int = 1) -> Expr:
        """Operators that bind at least as strongly as ``floor``, by precedence climbing."""
        left = self._prefix()
        while self.next.kind == "sign" and _STRENGTH.get(self.next.text, 0) >= floor:
            sign = self.take()
            if sign.text in _COMPARISON:
                left = self._compared(left, sign)
            else:
                left = self._joined(sign, left, self._expression(_STRENGTH[sign.text] + 1))
        return left

    def _compared(self, left: Expr, sign: Token) -> Expr:
        """``a <= b < c`` is ``(a <= b) & (b < c)``, as in Python."""
        tests = []
        while True:
            right = self._expression(_STRENGTH[sign.text] + 1)
            tests.append(apply(_COMPARISON[sign.text], left, right))
            if self.next.text not in _COMPARISON:
                return all_of(tests)
            left, sign = right, self.take()

    def _joined(self, sign: Token, left: Expr, right: Expr) -> Expr:
        if sign.text in _ARITHMETIC:
            return apply(_ARITHMETIC[sign.text], left, right)
        for side in (left, right):
            if side.kind is not Kind.BOOL:
                self._fail(
                    sign,
                    f"`{sign.text}` joins conditions, and one side is of kind {side.kind.value}",
                    f"compare first; for the bits of integers use {_BITS[sign.text]}(a, b)",
                )
        return make(_LOGIC[sign.text], left, right)

    # prefixes and atoms

    def _prefix(self) -> Expr:
        token = self.next
        if token.text not in ("-", "~"):
            return self._atom()
        self.take()
        if token.text == "-" and (self.next.kind == "number" or self.next.text == "inf"):
            return self._number(self.take(), negative=True)
        inner = self._deeper(token, self._prefix)
        if token.text == "-":
            return apply(Op.NEG, inner)
        if inner.kind is not Kind.BOOL:
            self._fail(
                token,
                f"`~` of kind {inner.kind.value}",
                "put the condition in brackets: ~(kv <= q); for bits use bit_not(x)",
            )
        return make(Op.NOT, inner)

    def _deeper(self, token: Token, parse: Callable[[], Expr]) -> Expr:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(token, f"nested more than {_DEEPEST} deep", "split it into several masks or score steps")
        expr = parse()
        self._depth -= 1
        return expr

    def _number(self, token: Token, negative: bool = False) -> Expr:
        sign = -1 if negative else 1
        if token.text == "inf":
            return const(sign * math.inf)
        if not token.text.isdigit():
            value = float(token.text)
            if math.isinf(value):
                self._fail(token, "this number is beyond floats", "use inf")
            return const(sign * value)
        if len(token.text) > 10 or int(token.text) > _LARGEST_INT + negative:
            self._fail(token, "this integer does not fit int32", f"use at most {_LARGEST_INT}, or a float such as 1e10")
        return const(sign * int(token.text))

    def _atom(self) -> Expr:
        token = self.next
        if token.kind == "number":
            return self._number(self.take())
        if token.text == "(":
            self.take()
            expr = self._deeper(token, self._expression)
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
        self._fail(token, what, self._instead(token))

    def _bare(self, token: Token) -> Expr:
        name, scope = token.text, self._scope
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
            return self._vocabulary(token, [], {})
        self._unknown(token)

    def _score(self, token: Token) -> Expr:
        if not self._allow_score:
            self._fail(
                token,
                "`score` is not known here: a mask cannot depend on it",
                "use score=, with where(condition, score, -inf)",
            )
        return SCORE

    def _unknown(self, token: Token) -> NoReturn:
        scope = self._scope
        known = ["b", "h", "q", "kv", "B", "H", "Hkv", "M", "N", *scope.params, *scope.declared]
        names = [
            *known,
            *(["score"] if self._allow_score else []),
            *MASKS,
            *(SCORES if self._allow_score else []),
            *FUNCTIONS,
        ]
        near = did_you_mean(token.text, names)
        if near.startswith("known"):
            near = f"known: {', '.join(known)}, the vocabulary and functions; declare others in `params` or `tensors`"
        self._fail(token, f"unknown name `{token.text}`", near)

    def _subscripts(self, token: Token) -> Expr:
        """``t[i, j]``; a tensor without dimensions is just named."""
        ref = self._scope.declared[token.text]
        self._scope.used.add(ref.name)
        items: list[Expr] = []
        if self.next.text == "[":
            opening = self.take()
            while self.next.text != "]":
                items.append(self._deeper(opening, self._expression))
                if self.next.text != "]":
                    self.take(",")
            self.take("]")
        if len(items) != ref.rank:
            self._fail(
                token,
                f"`{ref.name}` has {ref.rank} dimensions and {len(items)} subscripts",
                "give one subscript a dimension",
            )
        for dim, item in enumerate(items):
            if item.kind is not Kind.INT:
                self._fail(
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
                self._fail(token, f"`{token.text}` takes {arity} argument(s) and has {len(args)}")
            try:
                return function(*args)
            except ExpressionError as error:
                self._fail(token, error.what, error.remedy)
        if token.text in MASKS or token.text in SCORES:
            return self._vocabulary(token, *self.arguments())
        if token.text in self._scope.declared:
            self._fail(token, f"the tensor `{token.text}` is called", f"subscript it: {token.text}[...]")
        self._fail(token, f"unknown function `{token.text}`", did_you_mean(token.text, [*FUNCTIONS, *MASKS, *SCORES]))

    def _plain_arguments(self) -> list[Expr]:
        opening, args = self.take("("), []
        while self.next.text != ")":
            args.append(self._deeper(opening, self._expression))
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
        ref = self._scope.declared.get(name.text)
        if ref is None:
            self._fail(
                name, f"`{name.text}` is no declared tensor", f"declared: {', '.join(self._scope.declared) or 'none'}"
            )
        if not dim.text.isdigit() or int(dim.text) >= ref.rank:
            self._fail(dim, f"`{ref.name}` has no dimension {dim.text}", f"it has {ref.rank}, counted from 0")
        self._scope.used.add(ref.name)
        return size(ref, int(dim.text))

    # vocabulary

    def _vocabulary(self, token: Token, args: list[Any], named: dict[str, Any]) -> Expr:
        if token.text in SCORES and not self._allow_score:
            self._fail(token, f"`{token.text}` is a score, not a mask", "pass it as score=")
        entry: Callable[..., Any] = MASKS[token.text] if token.text in MASKS else SCORES[token.text]
        term = self.call(token, entry, args, named)
        try:
            return term.lower(self._scope)  # type: ignore[no-any-return]
        except ExpressionError:
            raise
        except AttngenError as error:
            self._fail(token, f"{error.place}: {error.what}", error.remedy)

    def call(self, token: Token, entry: Callable[..., Any], args: list[Any], named: dict[str, Any]) -> Any:
        """The vocabulary entry with these arguments; errors point at its name."""
        try:
            inspect.signature(entry).bind(*args, **named)
        except TypeError as error:
            self._fail(token, f"{token.text}: {error}", f"its form is {token.text}{_form(entry)}")
        try:
            return entry(*args, **named)
        except AttngenError as error:
            self._fail(token, f"{error.place}: {error.what}", error.remedy)

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Positional and named arguments of a vocabulary entry."""
        opening = self.take("(")
        if self._in_vocabulary:
            self._fail(opening, "a vocabulary entry inside an argument of another one", "join masks with & | ~")
        self._in_vocabulary = True
        args: list[Any] = []
        named: dict[str, Any] = {}
        while self.next.text != ")":
            name = self.next
            if name.kind == "name" and self._tokens[self._at + 1].text == "=":
                self.take(), self.take()
                if name.text in named:
                    self._fail(name, f"`{name.text}` is given twice")
                named[name.text] = self._argument()
            elif named:
                self._fail(name, "an argument without a name follows one with a name", "put it first")
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
        token, after = self.next, self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        if token.kind == "string":
            return self.take().text[1:-1]
        if token.kind == "name" and after.text in (",", ")"):
            self.take()
            return {"true": True, "false": False}.get(token.text, token.text)
        expr = self._expression()
        if expr.op is Op.CONST:
            return expr.value
        return self._text[token.start : self._tokens[self._at - 1].end]

    def _list(self) -> list[Any]:
        opening, items = self.take("["), []
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(opening, f"nested more than {_DEEPEST} deep")
        while self.next.text != "]":
            token = self.next
            item = self._list() if token.text == "[" else self._prefix()
            if isinstance(item, Expr):
                if item.op is not Op.CONST:
                    self._fail(token, "a list holds numbers", "declare a tensor for values that are known at the call")
                item = item.value
            items.append(item)
            if self.next.text != "]":
                self.take(",")
        self.take("]")
        self._depth -= 1
        return items


def _form(entry: Callable[..., Any]) -> str:
    """``(w, right=None)``: the parameters without their types."""
    signature = inspect.signature(entry)
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))
