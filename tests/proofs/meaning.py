"""What a mask means, as a z3 term at one (b, h, q, kv): straight from the definition, by a table over `Op`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import z3

from attngen.expr.op import Expr, Kind, Op, walk
from tests.proofs.tensors import loaded, size_of


def meaning(mask: Expr, point: Mapping[str, Any]) -> Any:
    """The truth of the mask. ``point`` has the terms of b, h, q and kv; lengths and parameters go by their names."""
    done: dict[Expr, Any] = {}
    for node in walk(mask):
        args = [done[arg] for arg in node.args]
        match node.op:
            case Op.CONST:
                done[node] = z3.BoolVal(node.value) if node.kind is Kind.BOOL else z3.IntVal(node.value)
            case Op.INDEX:
                done[node] = point[node.value]
            case Op.LENGTH:
                done[node] = z3.Int(node.value)
            case Op.PARAM:
                done[node] = z3.Int(node.value.name)
            case Op.SIZE:
                done[node] = size_of(*node.value)
            case Op.LOAD:
                done[node] = loaded(node.value, args, clamp=True)
            case Op.TO_INT:
                done[node] = z3.If(args[0], 1, 0) if z3.is_bool(args[0]) else args[0]
            case _:
                done[node] = RULE[node.op](*args)
    return done[mask]


def _positive(divisor: Any) -> Any:
    assert z3.is_int_value(divisor) and divisor.as_long() > 0, f"division by {divisor}: z3 rounds another way"
    return divisor


RULE: Mapping[Op, Callable[..., Any]] = {
    Op.ADD: lambda a, b: a + b,
    Op.SUB: lambda a, b: a - b,
    Op.MUL: lambda a, b: a * b,
    Op.NEG: lambda a: -a,
    Op.FLOORDIV: lambda a, b: a / _positive(b),
    Op.MOD: lambda a, b: a % _positive(b),
    Op.ABS: lambda a: z3.If(a >= 0, a, -a),
    Op.MIN: lambda a, b: z3.If(a <= b, a, b),
    Op.MAX: lambda a, b: z3.If(a >= b, a, b),
    Op.LT: lambda a, b: a < b,
    Op.LE: lambda a, b: a <= b,
    Op.GT: lambda a, b: a > b,
    Op.GE: lambda a, b: a >= b,
    Op.EQ: lambda a, b: a == b,
    Op.NE: lambda a, b: a != b,
    Op.AND: z3.And,
    Op.OR: z3.Or,
    Op.XOR: z3.Xor,
    Op.NOT: z3.Not,
    Op.WHERE: z3.If,
}
