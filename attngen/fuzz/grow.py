"""Random trees of `attngen.fuzz.expressions`, of a wanted kind, that kernel and oracle must agree on.

What is kept out, because a right kernel may differ there: integers beyond 32 bits, conditions on rounded
floats, functions that amplify rounding. Everything else is fair, nests of comparisons above all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attngen.fuzz.expressions import COMPARISONS, Tree, is_const

LARGEST_INDEX = 320
"""No index, length, parameter or entry of an integer tensor is larger."""
_LIMIT = 2**24
_DIVISORS = (1, 2, 3, 4, 5, 7, 8, 16, 17, 64, -1, -3, -8)


@dataclass
class Grower:
    """``names``: integer leaves; ``tensors``: name -> (kind, subscripts); ``new_tensor`` of these adds one.

    Without ``new_tensor`` nothing is loaded.
    """

    rng: np.random.Generator
    names: tuple[str, ...]
    new_tensor: Callable[[str, list[Tree]], str] | None
    tensors: dict[str, tuple[str, list[Tree]]] = field(default_factory=dict)

    def some(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    # integers: (tree, largest magnitude)

    def integer(self, depth: int) -> Tree:
        return self._integer(depth)[0]

    def _index(self) -> tuple[Tree, int]:
        weights = np.array([4.0 if name in ("q", "kv") else 1.0 for name in self.names])
        return str(self.rng.choice(self.names, p=weights / weights.sum())), LARGEST_INDEX

    def _integer(self, depth: int, *, constant: bool = True) -> tuple[Tree, int]:
        if depth <= 0 or self.chance(0.15):
            if constant and self.chance(0.25):
                number = int(self.rng.integers(-9, 70)) if self.chance(0.7) else self.some(0, 1, -1, 2)
                return number, abs(number)
            return self._index()
        kind = int(self.rng.integers(11))
        if kind <= 2:
            a, b = self._integer(depth - 1, constant=False), self._integer(depth - 1)
            pair = (a, b) if self.chance(0.7) else (b, a)
            return [self.some("+", "-"), pair[0][0], pair[1][0]], a[1] + b[1]
        if kind <= 4:
            (tree, size), divisor = self._integer(depth - 1, constant=False), self.some(*_DIVISORS)
            if self.chance(0.1):  # a divisor that is known at run time, and never 0
                return [self.some("//", "%"), tree, ["+", self.some("h", "b"), self.some(1, 3)]], size + LARGEST_INDEX
            return [self.some("//", "%"), tree, divisor], size + 1 + abs(divisor)
        if kind == 5:
            (a, size), (b, other) = self._integer(depth - 1, constant=False), self._integer(depth - 2)
            return (["*", a, b], size * other) if size * other < _LIMIT else (["-", a, b], size + other)
        if kind == 6:
            tree, size = self._integer(depth - 1, constant=False)
            return [self.some("neg", "abs"), tree], size
        if kind == 7:
            (a, size), (b, other) = self._integer(depth - 1, constant=False), self._integer(depth - 1)
            return [self.some("minimum", "maximum"), a, b], max(size, other)
        if kind == 8:
            (a, size), (b, other) = self._integer(depth - 1, constant=False), self._integer(depth - 1)
            return ["where", self.boolean(depth - 1), a, b], max(size, other)
        if kind == 9:
            return self._bits(depth)
        return (self._load("int", depth), LARGEST_INDEX) if self.chance(0.6) else (["int", self.boolean(depth - 1)], 1)

    def _bits(self, depth: int) -> tuple[Tree, int]:
        tree, size = self._integer(depth - 1, constant=False)
        if self.chance(0.3):
            return ["shr", tree, self.some(0, 1, 3, 5)], size + 1
        if self.chance(0.2) and size < 2**16:
            return ["shl", tree, self.some(0, 1, 4)], size * 16
        other, width = self._integer(depth - 1)
        return [self.some("bit_and", "bit_or", "bit_xor"), tree, other], 2 * max(size, width) + 1

    # conditions

    def boolean(self, depth: int) -> Tree:
        if depth <= 0 or self.chance(0.3):
            return self._comparison(depth)
        kind = int(self.rng.integers(9))
        if kind <= 3:
            return [self.some("&", "&", "|", "|", "^"), self.boolean(depth - 1), self.boolean(depth - 1)]
        if kind == 4:
            return ["~", self.boolean(depth - 1)]
        if kind == 5:  # comparisons of comparisons
            return [self.some("==", "!=", *COMPARISONS), self.boolean(depth - 1), self.boolean(depth - 1)]
        if kind == 6:
            low, high = self.integer(depth - 2), self.integer(depth - 2)
            return ["between", low, self._integer(depth - 1, constant=False)[0], high]
        if kind == 7:
            return self._load("bool", depth)
        return ["!=", self._integer(depth - 1, constant=False)[0], 0]

    def _comparison(self, depth: int) -> Tree:
        a, b = self._integer(depth - 1, constant=False)[0], self.integer(depth - 1)
        return [self.some(*COMPARISONS), *((a, b) if self.chance(0.7) else (b, a))]

    # floats that need no score, of magnitude 8 at most, and smooth

    def floating(self, depth: int) -> Tree:
        kind = int(self.rng.integers(10 if depth > 0 else 5))
        small = self._integer(depth - 1, constant=False)[0]
        if kind == 0:
            return ["*", ["float", ["%", small, self.some(3, 8, 31)]], self.some(0.25, -0.125)]
        if kind == 1:
            return ["*", ["float", ["minimum", ["abs", ["-", "q", "kv"]], 100]], self.some(0.05, -0.03125)]
        if kind == 2:
            return self._load("float", depth)
        if kind == 3:
            return [self.some("sin", "cos", "tanh", "erf", "sigmoid"), ["float", ["%", small, 50]]]
        if kind == 4:
            return ["float", self.boolean(depth - 1)]
        if kind == 5:
            near = ["neg", ["float", ["%", ["abs", small], 16]]]
            return [self.some("exp", "exp2"), near]
        if kind == 6:
            far = ["float", ["minimum", ["abs", small], 100]]
            return self.some(["log1p", far], ["*", 0.5, ["sqrt", far]], ["rsqrt", ["+", far, 1.0]])
        if kind == 7:
            return ["*", [self.some("floor", "ceil"), ["*", ["float", ["%", small, 64]], 0.25]], 0.25]
        if kind == 8:
            return ["where", self.boolean(depth - 1), self.floating(depth - 1), self.floating(depth - 1)]
        return ["*", [self.some("+", "-"), self.floating(depth - 1), self.floating(depth - 1)], 0.5]

    # scores: no function stretches a difference by much

    def step(self, depth: int) -> Tree:
        kind = int(self.rng.integers(10 if depth > 0 else 4))
        if kind == 0:
            return "score"
        if kind <= 3:
            g = self.floating(depth)
            pair = ("score", g) if self.chance(0.7) else (g, "score")
            return [self.some("+", "-"), *pair]
        inner = self.step(depth - 1)
        if kind == 4:
            return ["*", inner, self.some(0.5, -1.25, 0.01)]
        if kind == 5:
            return ["/", inner, self.some(2.0, -3.0)]
        if kind == 6:
            return ["where", self.boolean(depth), inner, self.step(depth - 1)]
        if kind == 7:
            return [self.some("minimum", "maximum"), inner, self.some(0.0, 1.5, -2.0)]
        if kind == 8:
            return ["*", [self.some("tanh", "sigmoid", "erf"), ["*", inner, 0.25]], self.some(4.0, -2.0)]
        return [self.some("abs", "neg"), inner]

    def masking_step(self, depth: int) -> Tree:
        """A step that drops some keys. What follows must keep -inf what it is."""
        return ["where", self.boolean(depth), self.step(depth - 1), float("-inf")]

    # loads

    def _load(self, kind: str, depth: int) -> Tree:
        if self.new_tensor is None:
            return self._comparison(0) if kind == "bool" else self._index()[0]
        known = [name for name, (have, _) in self.tensors.items() if have == kind]
        if known and self.chance(0.3):
            name = self.some(*known)
            drawn = [self._subscript(depth - 1) for _ in self.tensors[name][1]]
            pairs = zip(drawn, self.tensors[name][1], strict=True)
            subscripts = [old if is_const(new) or self.chance(0.7) else new for new, old in pairs]
        else:
            rank = int(self.rng.choice(4, p=[0.1, 0.4, 0.35, 0.15]))
            subscripts = [self._subscript(depth - 1) for _ in range(rank)]
            name = self.new_tensor(kind, subscripts)
            self.tensors[name] = (kind, subscripts)
        return [self.some("load", "chain") if subscripts else "load", name, *subscripts]

    def _subscript(self, depth: int) -> Tree:
        if self.chance(0.4):
            return self._index()[0]
        if self.chance(0.1):
            return self.some(0, 1, 2)
        tree = self._integer(min(depth, 2))[0]
        return tree if not is_const(tree) or tree >= 0 else abs(tree)
