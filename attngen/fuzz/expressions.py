"""Random scalar expressions as nested lists: small, JSON-able, with three readings that share no code.

``["+", "q", 1]``: an operation and its operands. Leaves are numbers, indices, ``score``, lengths and
parameters by name. `python` writes a FlexAttention callable's body, `text` the language of strings with
as few brackets as it allows, and `value` computes in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Tree = Any  # numbers, names, or [operation, *trees]

# Strengths of the language of strings, as docs/language.md lists them
_STRENGTH = {"|": 1, "^": 2, "&": 3, "+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "%": 6} | dict.fromkeys(
    ("<", "<=", ">", ">=", "==", "!="), 4
)
_PREFIX, _ATOM = 7, 8
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


def is_const(tree: Tree) -> bool:
    return isinstance(tree, (bool, int, float))


def parts(tree: Tree) -> list[Tree]:
    """The operands of a tree."""
    if not isinstance(tree, list):
        return []
    return list(tree[2:] if tree[0] in ("load", "chain") else tree[1:])


def names(tree: Tree) -> set[str]:
    """Every name that a tree mentions, tensors included."""
    if isinstance(tree, str):
        return {tree}
    own = {tree[1]} if isinstance(tree, list) and tree[0] in ("load", "chain") else set()
    return own.union(*(names(part) for part in parts(tree)))


# the language of strings


def text(tree: Tree) -> str:
    return _text(tree)[0]


def _text(tree: Tree) -> tuple[str, int]:
    if isinstance(tree, bool):
        return ("true" if tree else "false"), _ATOM
    if isinstance(tree, (int, float)):
        return repr(tree), _PREFIX if math.copysign(1, tree) < 0 else _ATOM
    if isinstance(tree, str):
        return tree, _ATOM

    def at(part: Tree, floor: int) -> str:
        body, strength = _text(part)
        return body if strength >= floor else f"({body})"

    op, args = tree[0], parts(tree)
    if op in _STRENGTH:
        strength = _STRENGTH[op]
        left = strength + 1 if strength == 4 else strength  # comparisons chain, so a nested one needs brackets
        return f"{at(args[0], left)} {op} {at(args[1], strength + 1)}", strength
    if op == "between":
        return f"{at(args[0], 5)} <= {at(args[1], 5)} < {at(args[2], 5)}", 4
    if op in ("neg", "~"):
        sign = "-" if op == "neg" else "~"
        return f"{sign}{at(args[0], _PREFIX if not is_const(args[0]) else _ATOM + 1)}", _PREFIX
    if op in ("load", "chain"):
        inside = ", ".join(at(arg, 0) for arg in args)
        return (f"{tree[1]}[{inside}]" if args else str(tree[1])), _ATOM
    name = {"shl": "shift_left", "shr": "shift_right"}.get(op, op)
    return f"{name}({', '.join(at(arg, 0) for arg in args)})", _ATOM


# the body of a callable

_METHODS = {"float": "{0}.float()", "int": "{0}.to(torch.int32)", "abs": "{0}.abs()", "neg": "(-{0})", "~": "(~{0})"}
_BITS = {"bit_and": "&", "bit_or": "|", "bit_xor": "^", "shl": "<<", "shr": ">>"}


def python(tree: Tree) -> str:
    """Python with brackets around every operation: the precedences are Python's own business."""
    if isinstance(tree, list):
        op, args = tree[0], [python(part) for part in parts(tree)]
        if op in _STRENGTH or op in _BITS:
            return f"({args[0]} {_BITS.get(op, op)} {args[1]})"
        if op == "between":
            return f"(({args[0]} <= {args[1]}) & ({args[1]} < {args[2]}))"
        if op in _METHODS:
            return _METHODS[op].format(*args)
        if op == "load":
            return f"{tree[1]}[{', '.join(args)}]" if args else str(tree[1])
        if op == "chain":
            return f"{tree[1]}{''.join(f'[{arg}]' for arg in args)}"
        if op in ("minimum", "maximum") and any(is_const(part) for part in parts(tree)):
            number, other = sorted(zip(map(is_const, parts(tree)), args, strict=True), reverse=True)
            return f"{other[1]}.clamp({'max' if op == 'minimum' else 'min'}={number[1]})"
        return f"torch.{op}({', '.join(args)})"
    if isinstance(tree, float) and not math.isfinite(tree):
        return f"float('{tree}')"
    return f"({tree})" if is_const(tree) and tree < 0 else str(tree)


# the value, in NumPy

Load = Callable[[str, list[Any]], Any]

_VALUE: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.true_divide, "//": np.floor_divide, "%": np.mod,
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
    "&": np.logical_and, "|": np.logical_or, "^": np.logical_xor, "~": np.logical_not,
    "between": lambda a, x, b: (a <= x) & (x < b),
    "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor,
    "shl": np.left_shift, "shr": np.right_shift,
    "neg": np.negative, "abs": np.abs, "minimum": np.minimum, "maximum": np.maximum, "where": np.where,
    "float": lambda x: np.asarray(x, np.float64), "int": lambda x: np.trunc(x).astype(np.int64),
    "floor": np.floor, "ceil": np.ceil, "exp": np.exp, "exp2": np.exp2, "log1p": np.log1p, "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x), "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sin": np.sin, "cos": np.cos, "erf": np.frompyfunc(math.erf, 1, 1),
}  # fmt: skip
OPERATIONS = frozenset(_VALUE)


def value(tree: Tree, env: Mapping[str, Any], load: Load | None = None) -> Any:
    """The tree where names stand for the arrays of ``env``; ``load(name, indices)`` reads a tensor."""
    if isinstance(tree, str):
        return env[tree]
    if not isinstance(tree, list):
        return np.asarray(tree)
    args = [value(part, env, load) for part in parts(tree)]
    if tree[0] in ("load", "chain"):
        assert load is not None
        return load(tree[1], args)
    with np.errstate(all="ignore"):
        out = _VALUE[tree[0]](*args)
    return np.asarray(out, np.float64) if np.asarray(out).dtype == object else out
