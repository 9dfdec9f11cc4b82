"""An expression as a person writes it, which is also the text that the grammar reads back."""

from __future__ import annotations

from attngen.expr.op import LEAVES, Expr, Op, walk

# Binding strength, weakest first, as in the grammar: or, xor, and, not, comparisons, +, *, unary, atoms.
_BINARY = {
    Op.OR: (1, "|"), Op.XOR: (2, "^"), Op.AND: (3, "&"),
    Op.LT: (5, "<"), Op.LE: (5, "<="), Op.GT: (5, ">"), Op.GE: (5, ">="), Op.EQ: (5, "=="), Op.NE: (5, "!="),
    Op.ADD: (6, "+"), Op.SUB: (6, "-"), Op.MUL: (7, "*"), Op.DIV: (7, "/"), Op.FLOORDIV: (7, "//"), Op.MOD: (7, "%"),
}  # fmt: skip
_COMPARISON, _UNARY, _ATOM = 5, 8, 9
LONGEST = 20_000


def _leaf(node: Expr) -> tuple[str, int]:
    match node.op:
        case Op.CONST:
            if isinstance(node.value, bool):
                return ("true" if node.value else "false"), _ATOM
            text = repr(node.value)
            if text in ("inf", "-inf", "nan"):
                return text, _ATOM if text != "-inf" else _UNARY
            return text, _UNARY if text.startswith("-") else _ATOM
        case Op.SCORE:
            return "score", _ATOM
        case Op.PARAM | Op.NAMED:
            return node.value.name, _ATOM
        case Op.SIZE:
            return f"size({node.value[0].name}, {node.value[1]})", _ATOM
        case _:
            return str(node.value), _ATOM


def show(root: Expr) -> str:
    """One line of text with the fewest parentheses; shared sub-expressions are written out.

    A sub-expression whose text would be longer than `LONGEST` is only named: sharing can make the
    text exponentially longer than the expression.
    """
    text: dict[Expr, tuple[str, int]] = {}

    def at(node: Expr, floor: int) -> str:
        body, strength = text[node]
        return body if strength >= floor else f"({body})"

    for node in walk(root):
        if node.op in LEAVES:
            text[node] = _leaf(node)
        elif node.op is Op.LOAD:
            inside = ", ".join(at(arg, 0) for arg in node.args)
            text[node] = (f"{node.value.name}[{inside}]" if inside else node.value.name, _ATOM)
        elif node.op in _BINARY:
            strength, sign = _BINARY[node.op]
            # comparisons do not chain, and - / // % associate to the left: the right side binds tighter
            left = strength + 1 if strength == _COMPARISON else strength
            text[node] = (f"{at(node.args[0], left)} {sign} {at(node.args[1], strength + 1)}", strength)
        elif node.op is Op.NEG:
            # `-5` is the constant; its negation as an operation is `-(5)`
            inner = at(node.args[0], _UNARY if node.args[0].op is not Op.CONST else _ATOM + 1)
            text[node] = (f"-{inner}", _UNARY)
        elif node.op is Op.NOT:
            text[node] = (f"~{at(node.args[0], _UNARY)}", _UNARY)
        else:
            name = {Op.SHL: "shift_left", Op.SHR: "shift_right"}.get(node.op, node.op.value)
            text[node] = (f"{name}({', '.join(at(arg, 0) for arg in node.args)})", _ATOM)
        if len(text[node][0]) > LONGEST:
            text[node] = (f"<{node.op.value} of {sum(1 for _ in walk(node))} operations>", _ATOM)
    return text[root][0]
