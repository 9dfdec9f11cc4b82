"""Affine integer expressions as isl sets: the exact algebra under the tile schedule.

An expression is affine here when isl can hold it without loss: sums, products with a constant,
``//`` and ``%`` by a constant, minimum, maximum, absolute value, choice, and shifts or masks of
bits that are divisions in disguise. Everything else is for the caller to approximate first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import islpy as isl

from attngen.expr.op import BITS, FLOAT_FUNCTIONS, Expr, Kind, Op, walk

# Operations with an exact form; what they need of their operands is `_constant_operand_fits`.
AFFINE_OPS = frozenset(
    {
        Op.CONST, Op.INDEX, Op.LENGTH, Op.PARAM, Op.NAMED, Op.ADD, Op.SUB, Op.MUL, Op.FLOORDIV, Op.MOD, Op.NEG,
        Op.ABS, Op.MIN, Op.MAX, Op.LT, Op.LE, Op.GT, Op.GE, Op.EQ, Op.NE, Op.AND, Op.OR, Op.XOR, Op.NOT,
        Op.BIT_AND, Op.BIT_NOT, Op.SHL, Op.SHR, Op.WHERE, Op.TO_INT,
    }
)  # fmt: skip
OPAQUE_OPS = frozenset(
    {Op.SCORE, Op.LOAD, Op.SIZE, Op.DIV, Op.TO_FLOAT, *FLOAT_FUNCTIONS, *BITS} - AFFINE_OPS
)  # data, and what is not linear


def _constant(node: Expr) -> int | None:
    return node.value if node.op is Op.CONST and node.kind is Kind.INT else None


def _constant_operand_fits(node: Expr) -> bool:
    right = _constant(node.args[1]) if len(node.args) == 2 else None
    match node.op:
        case Op.MUL:
            return right is not None or _constant(node.args[0]) is not None
        case Op.FLOORDIV | Op.MOD:
            return right is not None and right != 0
        case Op.SHL | Op.SHR:
            return right is not None and 0 <= right < 31
        case Op.BIT_AND:
            return right is not None and right >= 0 and (right + 1) & right == 0
        case Op.CONST:
            return node.kind is not Kind.FLOAT
        case _:
            return True


def affine_nodes(root: Expr, indices: Iterable[str]) -> dict[Expr, bool]:
    """For every node below ``root``: does isl hold it exactly? ``indices`` are the index names that are dimensions."""
    known = set(indices)
    out: dict[Expr, bool] = {}
    for node in walk(root):
        fits = node.op in AFFINE_OPS and node.kind is not Kind.FLOAT
        if node.op is Op.INDEX:
            fits = node.value in known
        out[node] = fits and all(out[arg] for arg in node.args) and _constant_operand_fits(node)
    return out


class Space:
    """Names of an isl space: parameters (leaves of expressions) and set dimensions (leaves as well).

    isl sees only p0, p1, ... and x0, x1, ...: no name of a user reaches its parser.
    """

    def __init__(self, context: isl.Context, params: Sequence[Expr], dims: Sequence[Expr]) -> None:
        self.context = context
        self.params = tuple(params)
        self.dims = tuple(dims)
        self._names = {leaf: f"p{i}" for i, leaf in enumerate(self.params)}
        self._names |= {leaf: f"x{i}" for i, leaf in enumerate(self.dims)}
        self.space = isl.Space.create_from_names(
            context, set=[self._names[leaf] for leaf in self.dims], params=[self._names[leaf] for leaf in self.params]
        )
        self._local = isl.LocalSpace.from_space(self.space)
        self._values: dict[Expr, isl.PwAff] = {}
        self._sets: dict[Expr, isl.Set] = {}

    def with_dims(self, dims: Sequence[Expr]) -> Space:
        """The same parameters over other dimensions."""
        return Space(self.context, self.params, dims)

    def universe(self) -> isl.Set:
        return isl.Set.universe(self.space)

    def empty(self) -> isl.Set:
        return isl.Set.empty(self.space)

    def value(self, root: Expr) -> isl.PwAff:
        """An integer expression as a piecewise affine function."""
        self._lower(root)
        return self._values[root]

    def set(self, root: Expr) -> isl.Set:
        """The points where a bool expression holds."""
        self._lower(root)
        return self._sets[root]

    def _lower(self, root: Expr) -> None:
        for node in walk(root):
            if node in self._values or node in self._sets:
                continue
            if node.kind is Kind.BOOL:
                self._sets[node] = self._bool(node)
            else:
                self._values[node] = self._int(node)

    def _leaf(self, node: Expr) -> isl.PwAff:
        kind, names = (isl.dim_type.set, self.dims) if node in self.dims else (isl.dim_type.param, self.params)
        return isl.PwAff.from_aff(isl.Aff.var_on_domain(self._local, kind, names.index(node)))

    def _number(self, value: int) -> isl.PwAff:
        aff = isl.Aff.zero_on_domain(self._local).set_constant_val(isl.Val.int_from_si(self.context, value))
        return isl.PwAff.from_aff(aff)

    def _floor_by(self, value: isl.PwAff, divisor: int) -> isl.PwAff:
        if divisor < 0:
            value, divisor = value.neg(), -divisor
        return value.scale_down_val(isl.Val.int_from_si(self.context, divisor)).floor()

    def _scaled(self, value: isl.PwAff, factor: int) -> isl.PwAff:
        return value.scale_val(isl.Val.int_from_si(self.context, factor))

    def _choice(self, condition: isl.Set, yes: isl.PwAff, no: isl.PwAff) -> isl.PwAff:
        return yes.intersect_domain(condition).union_add(no.intersect_domain(condition.complement()))

    def _int(self, node: Expr) -> isl.PwAff:
        if node.op is Op.CONST:
            return self._number(int(node.value))
        if not node.args:
            return self._leaf(node)
        if node.op is Op.TO_INT:
            return self._choice(self._sets[node.args[0]], self._number(1), self._number(0))
        if node.op is Op.WHERE:
            return self._choice(self._sets[node.args[0]], self._values[node.args[1]], self._values[node.args[2]])
        a = self._values[node.args[0]]
        b = self._values[node.args[1]] if len(node.args) == 2 else a
        right = _constant(node.args[-1])
        match node.op:
            case Op.ADD:
                return a.add(b)
            case Op.SUB:
                return a.sub(b)
            case Op.MUL:
                return self._scaled(a, right) if right is not None else self._scaled(b, node.args[0].value)
            case Op.NEG:
                return a.neg()
            case Op.ABS:
                return a.max(a.neg())
            case Op.MIN:
                return a.min(b)
            case Op.MAX:
                return a.max(b)
            case Op.BIT_NOT:
                return a.neg().sub(self._number(1))
        assert right is not None, f"{node.op} is not affine here: approximate it first"
        match node.op:
            case Op.FLOORDIV:
                return self._floor_by(a, right)
            case Op.MOD:
                return a.sub(self._scaled(self._floor_by(a, right), right))
            case Op.SHL:
                return self._scaled(a, 1 << right)
            case Op.SHR:
                return self._floor_by(a, 1 << right)
            case Op.BIT_AND:
                return a.sub(self._scaled(self._floor_by(a, right + 1), right + 1))
        raise AssertionError(f"{node.op} has no integer form in isl")

    def _bool(self, node: Expr) -> isl.Set:
        if node.op is Op.CONST:
            return self.universe() if node.value else self.empty()
        if node.args[0].kind is Kind.BOOL:
            sets = [self._sets[arg] for arg in node.args]
            match node.op:
                case Op.NOT:
                    return sets[0].complement()
                case Op.AND:
                    return sets[0] & sets[1]
                case Op.OR:
                    return sets[0] | sets[1]
                case Op.XOR | Op.NE:
                    return (sets[0] - sets[1]) | (sets[1] - sets[0])
                case Op.EQ:
                    return (sets[0] & sets[1]) | (sets[0] | sets[1]).complement()
                case Op.WHERE:
                    return (sets[0] & sets[1]) | (sets[2] - sets[0])
        return _COMPARE[node.op](self._values[node.args[0]], self._values[node.args[1]])


_COMPARE: dict[Op, Callable[[isl.PwAff, isl.PwAff], isl.Set]] = {
    Op.LT: lambda a, b: a.lt_set(b),
    Op.LE: lambda a, b: a.le_set(b),
    Op.GT: lambda a, b: a.gt_set(b),
    Op.GE: lambda a, b: a.ge_set(b),
    Op.EQ: lambda a, b: a.eq_set(b),
    Op.NE: lambda a, b: a.ne_set(b),
}
