"""Expressions as source text of a target language. The dialect is a table over Op; the algorithm is here.

Values in a kernel are scalars, row vectors, column vectors or tiles. Text is printed for one of them at a
time (the `Axis` of the statement), so that leaves know whether to broadcast.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from attngen.expr.axis import AXIS_BY_NAME, Axis
from attngen.expr.op import FLIPPED, LEAVES, Expr, Kind, Op, walk
from attngen.expr.simplify import is_const

ATOM = 100
WIDTH = 90
"""Longer expressions are cut into named parts, so that a statement fits a line of 120 with its indentation."""
_WORTH_NAMING = 12


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a language spells each operation.

    ``binary``: (precedence, sign), higher binds tighter; ``chains``: precedences whose operators do not
    associate (comparisons in Python). ``prefix``: (precedence, sign). ``calls``: a format with {0}, {1}, ...
    ``floor_division``: the spellings of // and % when the left side may be negative. ``literal`` prints a finite
    float; ``apart``: (operation, operand) that get parentheses for the reader's sake.
    """

    binary: Mapping[Op, tuple[int, str]]
    prefix: Mapping[Op, tuple[int, str]]
    calls: Mapping[Op, str]
    chains: frozenset[int]
    floor_division: Mapping[Op, str]
    true: str
    false: str
    infinity: str
    nan: str
    broadcast: Callable[[str, Axis], str]
    literal: Callable[[float], str] = repr
    apart: Callable[[Op, Op], bool] = lambda operation, operand: False

    def covers(self) -> set[Op]:
        return {*self.binary, *self.prefix, *self.calls, *self.floor_division}


@dataclass(frozen=True, slots=True)
class Scope:
    """What leaves are called in a kernel, and what is known of them.

    ``names``: the text of INDEX, LENGTH, PARAM, SIZE and NAMED leaves with the axis that they vary over;
    ``address``: the summands of a load's address from the texts of its indices; ``load``: the text of the
    load from its address; ``nonnegative``: proves x >= 0.
    """

    names: Mapping[Expr, tuple[str, Axis]]
    address: Callable[[Expr, list[str]], list[str]]
    load: Callable[[Expr, str], str]
    nonnegative: Callable[[Expr], bool]


class Printer:
    """Prints expressions as statements; remembers which helper functions the text calls."""

    def __init__(self, dialect: Dialect, scope: Scope) -> None:
        self.dialect, self.scope = dialect, scope
        self.helpers: set[Op] = set()
        self._any_sign: set[Expr] = set()

    def statements(self, root: Expr, out: str, axis: Axis) -> list[str]:
        """``out = root``, after one statement for every sub-expression that is used more than once or too long."""
        lines: list[str] = []
        given: dict[Expr, str] = {}
        self._any_sign = _zero_tests(root)

        def name(node: Expr) -> None:
            stem = f"{out}_{_STEM.get(node.op, 'part')}"
            count = sum(re.fullmatch(rf"{stem}(_\d+)?", other) is not None for other in given.values())
            as_name = stem if not count else f"{stem}_{count + 1}"
            lines.extend(self._assign(as_name, node, axis, given))
            given[node] = as_name

        named = set(_shared(root))
        for node in [node for node in walk(root) if node in named or self._long_load(node, axis)] + [root]:
            while part := self._too_long(node, axis, given):
                name(part)
            if node is not root and node not in given:
                name(node)
        return lines + self._assign(out, root, axis, given)

    def _assign(self, name: str, node: Expr, axis: Axis, given: Mapping[Expr, str]) -> list[str]:
        text = self._text(node, axis, given)[0]
        if node.op is not Op.LOAD or len(text) <= WIDTH:
            return [f"{name} = {text}"]
        base, *terms = self.scope.address(node, [self._text(arg, axis, given)[0] for arg in node.args])
        lines = [f"{name}_at = {base}"]
        for term in terms:
            if len(f"{lines[-1]} + {term}") <= WIDTH:
                lines[-1] += f" + {term}"
            else:
                lines.append(f"{name}_at = {name}_at + {term}")
        return [*lines, f"{name} = {self.scope.load(node, f'{name}_at')}"]

    def _long_load(self, node: Expr, axis: Axis) -> bool:
        return node.op is Op.LOAD and len(self._text(node, axis, {})[0]) > WIDTH

    def _too_long(self, root: Expr, axis: Axis, given: Mapping[Expr, str]) -> Expr | None:
        """The largest inner expression that fits a line of its own, where the whole does not fit one."""
        texts = self._texts(root, axis, given)
        if len(texts[root][0]) <= WIDTH:
            return None
        best, size = None, 0
        seen: set[Expr] = set()
        stack = list(root.args)
        while stack:
            node = stack.pop()
            if not node.args or node in given or node in seen:
                continue  # what lies below a name is printed already
            seen.add(node)
            stack.extend(node.args)
            length = len(texts[node][0])
            if size < length <= WIDTH and length > _WORTH_NAMING:
                best, size = node, length
        return best

    def text(self, root: Expr, axis: Axis) -> str:
        self._any_sign = _zero_tests(root)
        return self._text(root, axis, {})[0]

    def _text(self, root: Expr, axis: Axis, given: Mapping[Expr, str]) -> tuple[str, int]:
        return self._texts(root, axis, given)[root]

    def _texts(self, root: Expr, axis: Axis, given: Mapping[Expr, str]) -> dict[Expr, tuple[str, int]]:
        """Text and strength of ``root`` and of all that it is made of, down to the given names."""
        done: dict[Expr, tuple[str, int]] = {node: (name, ATOM) for node, name in given.items()}
        # only what lies between the root and the given names is printed
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in done:
                continue
            if ready or not node.args:
                done[node] = self._node(node, axis, done)
            else:
                stack.append((node, True))
                stack.extend((arg, False) for arg in node.args)
        return done

    def _node(self, node: Expr, axis: Axis, done: Mapping[Expr, tuple[str, int]]) -> tuple[str, int]:
        dialect, args = self.dialect, node.args

        def at(i: int, floor: int) -> str:
            text, strength = done[args[i]]
            bare = strength >= floor and (strength == ATOM or not dialect.apart(node.op, args[i].op))
            return text if bare else f"({text})"

        if node.op is Op.CONST:
            return self._constant(node)
        if node in self.scope.names:
            name, own = self.scope.names[node]
            return (dialect.broadcast(name, own), ATOM) if axis is Axis.BOTH and own is not Axis.TILE else (name, ATOM)
        if node.op is Op.NAMED:
            own = AXIS_BY_NAME[node.value.axis]
            name = node.value.name
            broadcast = axis is Axis.BOTH and own in (Axis.ROW, Axis.COLUMN)
            return (dialect.broadcast(name, own) if broadcast else name), ATOM
        if node.op is Op.LOAD:
            return self.scope.load(
                node, " + ".join(self.scope.address(node, [at(i, ATOM) for i in range(len(args))]))
            ), ATOM
        if node.op in dialect.floor_division and node.kind is Kind.INT and not self._c_division(node):
            self.helpers.add(Op.FLOORDIV)
            self.helpers.add(node.op)
            return dialect.floor_division[node.op].format(at(0, 0), at(1, 0)), ATOM
        if node.op in dialect.binary:
            # `M >= x + 1` reads backwards: the length goes to the right
            backwards = node.op in FLIPPED and args[0].op is Op.LENGTH and args[1].op not in LEAVES
            strength, sign = dialect.binary[FLIPPED[node.op] if backwards else node.op]
            left = strength + 1 if strength in dialect.chains else strength
            return f"{at(int(backwards), left)} {sign} {at(1 - int(backwards), strength + 1)}", strength
        if node.op in dialect.prefix:
            strength, sign = dialect.prefix[node.op]
            return f"{sign}{at(0, strength)}", strength
        if node.op not in dialect.calls:
            raise AssertionError(f"no spelling for {node.op}: a pass should have rewritten it, or {node} has no name")
        spelling = dialect.calls[node.op]
        floor = ATOM if spelling.startswith("{0}") else 0
        return spelling.format(*(at(i, floor) for i in range(len(args)))), ATOM

    def _c_division(self, node: Expr) -> bool:
        """Division that truncates is right when nothing is negative, and for x % c == 0."""
        if node in self._any_sign:
            return True
        divisor = node.args[1]
        positive = divisor.value > 0 if divisor.op is Op.CONST else self.scope.nonnegative(divisor)
        return positive and self.scope.nonnegative(node.args[0])

    def _constant(self, node: Expr) -> tuple[str, int]:
        value = node.value
        if isinstance(value, bool):
            return (self.dialect.true if value else self.dialect.false), ATOM
        if isinstance(value, float):
            if math.isnan(value):
                return self.dialect.nan, ATOM
            if math.isinf(value):
                return (self.dialect.infinity if value > 0 else f"-{self.dialect.infinity}"), ATOM if value > 0 else 0
        strength = ATOM if math.copysign(1.0, value) > 0 else self.dialect.prefix[Op.NEG][0]
        return self.dialect.literal(value) if isinstance(value, float) else repr(value), strength


_STEM = {Op.SUB: "distance", Op.LOAD: "value", Op.EXP2: "exp", Op.FLOORDIV: "block", Op.MOD: "phase"}


def _zero_tests(root: Expr) -> set[Expr]:
    """Remainders by constants that are only compared with 0: there the sign does not matter."""
    users: dict[Expr, list[Expr]] = {}
    for node in walk(root):
        for arg in node.args:
            users.setdefault(arg, []).append(node)
    return {
        node
        for node, by in users.items()
        if node.op is Op.MOD
        and is_const(node.args[1])
        and all(user.op in (Op.EQ, Op.NE) and is_const(user.args[1], 0) for user in by)
    }


def _shared(root: Expr) -> list[Expr]:
    """Sub-expressions with several users, operands first. Leaves are free to repeat."""
    uses: dict[Expr, int] = {}
    for node in walk(root):
        for arg in set(node.args):
            uses[arg] = uses.get(arg, 0) + 1
        for arg in node.args:
            if node.args.count(arg) > 1:
                uses[arg] = uses.get(arg, 0) + 1
    cheap = {Op.CONST, Op.INDEX, Op.LENGTH, Op.PARAM, Op.SCORE, Op.SIZE, Op.NAMED, Op.TO_FLOAT, Op.NEG, Op.NOT}
    return [node for node in walk(root) if uses.get(node, 0) > 1 and node.op not in cheap]
