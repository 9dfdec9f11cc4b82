"""A mask between two affine masks: what it can keep at most, and what it keeps at least.

``over`` is implied by the mask and ``under`` implies it, for every query row of one tile. Both are
affine in q and kv; data enters through `Bound`s, numbers computed once a tile:

* a value that does not depend on the row (a length, a window of a head) is one number;
* a value that depends on the row is replaced by its smallest or largest over the rows of the tile,
  whichever is safe at that place, so nothing is assumed about the data;
* ``ids[row] == ids[kv]`` becomes first <= kv < last of the row's segment;
* anything else is unknown: true in ``over``, false in ``under``, and ``opaque`` says what it was.

The same serves the inverse schedule with the roles of q and kv exchanged (`outer`, `inner`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from attngen.expr import build
from attngen.expr.build import FALSE, INT, KV_IDX, Q_IDX, TRUE, const, load, make, named, rebuild, substitute, to_int
from attngen.expr.op import COMPARISONS, Derived, Expr, Kind, Op, TensorRef, leaves, tensors, walk
from attngen.expr.to_isl import AFFINE_OPS, affine_nodes
from attngen.tiling.linear import Linear, linear
from attngen.tiling.schedule import Bound


class Depends(Enum):
    """What a value varies with inside a row of tiles."""

    TILE = 0  # one number for the whole tile: lengths, params, data of a batch or head
    OUTER = 1  # varies over the rows of the tile
    INNER = 2  # varies along the sweep


_NEGATED = {Op.LT: Op.GE, Op.LE: Op.GT, Op.GT: Op.LE, Op.GE: Op.LT, Op.EQ: Op.NE, Op.NE: Op.EQ}
_MIRRORED = {Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE, Op.EQ: Op.EQ, Op.NE: Op.NE}


@dataclass
class Approximation:
    """``facts`` are what is known of the bounds (always true). ``opaque``: reasons why the pair is not tight.

    ``steps``: monotone values of the row (``q // 256``, a clamped start) that were replaced by their
    value at the first or last row of the tile: leaf -> (value of a row, at the first row?).
    """

    over: Expr
    under: Expr
    bounds: dict[Expr, Bound]
    facts: tuple[Expr, ...]
    opaque: tuple[str, ...]
    steps: dict[Expr, tuple[Expr, bool]]


def approximate(
    mask: Expr, *, row_heads: bool = False, inverse: bool = False, segments: bool = True, steps: bool = False
) -> Approximation:
    """The affine masks around ``mask``. ``inverse``: rows of a tile are keys and the sweep runs over queries.

    ``steps`` also replaces monotone values of the row that are affine but not linear: shorter loop
    bounds, which the caller must compare with the exact tiles.
    """
    work = _Work(mask, row_heads, inverse, segments and not inverse, steps)
    over = work.lower(work.mask, True, True)
    under = work.lower(work.mask, True, False)
    return Approximation(over, under, work.bounds, tuple(work.facts), tuple(dict.fromkeys(work.opaque)), work.steps)


@dataclass
class _Work:
    mask: Expr
    row_heads: bool
    inverse: bool
    segments: bool
    use_steps: bool
    steps: dict[Expr, tuple[Expr, bool]] = field(default_factory=dict)
    bounds: dict[Expr, Bound] = field(default_factory=dict)
    facts: list[Expr] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    _made: dict[tuple[Expr, str], Expr] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = {tensor.name for tensor in tensors(self.mask)}
        self.names |= {leaf.value.name for leaf in leaves(self.mask, Op.PARAM)}
        self.mask = _without_strict_bools(self.mask)
        self._examine(self.mask)
        self.mask = self._name_uniform_values(self.mask)
        self._examine(self.mask)

    # what depends on what

    def _examine(self, root: Expr) -> None:
        outer, inner = (KV_IDX, Q_IDX) if self.inverse else (Q_IDX, KV_IDX)
        self.depends: dict[Expr, Depends] = {}
        for node in walk(root):
            own = Depends.TILE
            if node is inner:
                own = Depends.INNER
            elif node is outer or (self.row_heads and node.op is Op.INDEX and node.value == "h"):
                own = Depends.OUTER
            self.depends[node] = max([own, *(self.depends[arg] for arg in node.args)], key=lambda d: d.value)
        self.affine = affine_nodes(root, ("q", "kv"))

    def _name_uniform_values(self, root: Expr) -> Expr:
        """Every largest tile-uniform integer that isl cannot hold becomes a bound."""
        done: dict[Expr, Expr] = {}

        def visit(node: Expr) -> Expr:
            if node not in done:
                if self.depends[node] is Depends.TILE and not self.affine[node]:
                    done[node] = self._uniform(node)
                elif node.op in AFFINE_OPS:
                    done[node] = rebuild(node, tuple(visit(arg) for arg in node.args))
                else:
                    done[node] = node
            return done[node]

        return visit(root)

    def _uniform(self, node: Expr) -> Expr:
        if node.kind is Kind.INT:
            return self._bound(node, "uniform")
        if node.kind is Kind.BOOL:
            # and, or, not of uniform conditions stay logic: each condition is a number 0 or 1
            if node.op in (Op.AND, Op.OR, Op.NOT, Op.XOR):
                return rebuild(node, tuple(arg if self.affine[arg] else self._uniform(arg) for arg in node.args))
            return make(Op.NE, self._bound(to_int(node), "uniform"), const(0))
        return node

    def _bound(self, expr: Expr, reduce: str) -> Expr:
        expr = substitute(expr, {leaf: bound.expr for leaf, bound in self.bounds.items()})
        key = (expr, reduce)
        if key not in self._made:
            leaf = named(self._fresh_name(expr, reduce), INT)
            self._made[key] = leaf
            self.bounds[leaf] = Bound(leaf.value.name, expr, reduce)
            low, high = self._made.get((expr, "min")), self._made.get((expr, "max"))
            if low is not None and high is not None and reduce != "uniform":
                self.facts.append(make(Op.LE, low, high))
            if expr.op is Op.TO_INT:
                self.facts += [make(Op.LE, const(0), leaf), make(Op.LE, leaf, const(1))]
        return self._made[key]

    def _fresh_name(self, expr: Expr, reduce: str) -> str:
        found = tensors(expr)
        base = re.sub(r"\W", "_", found[0].name) if found else "value"
        suffix = {"uniform": "here", "min": "min", "max": "max"}[reduce]
        taken = {bound.name for bound in self.bounds.values()} | self.names
        name, count = f"{base}_{suffix}", 2
        while name in taken:
            name, count = f"{base}{count}_{suffix}", count + 1
        return name

    # the two masks

    def lower(self, node: Expr, positive: bool, over: bool) -> Expr:
        """An affine mask above (``over``) or below the truth of ``node``, or of its negation."""
        if self.affine[node] and not (self.use_steps and self.depends[node] is Depends.INNER):
            return node if positive else make(Op.NOT, node)
        both, either = (Op.AND, Op.OR) if positive else (Op.OR, Op.AND)
        match node.op:
            case Op.NOT:
                return self.lower(node.args[0], not positive, over)
            case Op.AND | Op.OR:
                op = both if node.op is Op.AND else either
                return _join(op, *(self.lower(arg, positive, over) for arg in node.args))
            case Op.XOR:
                a, b = node.args
                ways = [
                    _join(Op.AND, self.lower(a, sign, over), self.lower(b, sign ^ positive, over))
                    for sign in (True, False)
                ]
                return _join(Op.OR, *ways)
            case Op.WHERE:
                c, a, b = node.args
                yes = _join(Op.AND, self.lower(c, True, over), self.lower(a, positive, over))
                no = _join(Op.AND, self.lower(c, False, over), self.lower(b, positive, over))
                return _join(Op.OR, yes, no)
        if node.op in COMPARISONS and node.args[0].kind is Kind.INT and self.depends[node] is Depends.INNER:
            return self._comparison(node, positive, over)
        if self.affine[node]:
            return node if positive else make(Op.NOT, node)
        if self.depends[node] is Depends.OUTER:
            return self._row_condition(node, positive, over)
        return self._unknown(node, over)

    def _unknown(self, node: Expr, over: bool) -> Expr:
        names = ", ".join(f"`{tensor.name}`" for tensor in tensors(node))
        self.opaque.append(f"data decides it pair by pair ({names})" if names else "a condition is not affine in kv")
        return TRUE if over else FALSE

    def _row_condition(self, node: Expr, positive: bool, over: bool) -> Expr:
        """A condition on the row alone: true of some row (over) or of every row (under)."""
        if positive:
            return make(Op.GE, self._bound(to_int(node), "max" if over else "min"), const(1))
        return make(Op.LE, self._bound(to_int(node), "min" if over else "max"), const(0))

    def _comparison(self, node: Expr, positive: bool, over: bool) -> Expr:
        op = node.op if positive else _NEGATED[node.op]
        if self.affine[node]:
            return self._stepped(node, op, over)
        segment = self._segment(node) if self.segments and op in (Op.EQ, Op.NE) else None
        if segment is not None:
            return self._in_segment(segment, op is Op.EQ, over)
        split = self._split(linear(make(Op.SUB, node.args[0], node.args[1])))
        if split is None:
            return self._unknown(node, over)
        keys, rows = split
        if op in (Op.EQ, Op.NE):
            self.opaque.append("equality with data that changes from row to row")
        if all(factor < 0 for factor in keys.terms.values()):
            keys, rows, op = keys.times(-1), rows.times(-1), _MIRRORED[op]
        row = rows.expr()
        return self._against(keys.expr(), op, lambda: self._bound(row, "min"), lambda: self._bound(row, "max"), over)

    def _split(self, difference: Linear) -> tuple[Linear, Linear] | None:
        """``difference`` as (part of the sweep) - (part of the row); None where the first part is not affine."""
        keys, rows = Linear({}, 0), Linear({}, -difference.constant)
        for term, factor in difference.terms.items():
            if self.depends[term] is not Depends.INNER:
                rows.terms[term] = -factor
            elif self.affine[term]:
                keys.terms[term] = factor
            else:
                return None
        return keys, rows

    def _stepped(self, node: Expr, op: Op, over: bool) -> Expr:
        """An affine comparison with its monotone, non-linear value of the row, if it has one, taken at the ends."""
        exact = make(op, *node.args)
        split = self._split(linear(make(Op.SUB, *node.args)))
        if split is None:
            return exact
        keys, rows = split
        if all(factor < 0 for factor in keys.terms.values()):
            keys, rows, op = keys.times(-1), rows.times(-1), _MIRRORED[op]
        moving = [term for term in rows.terms if self.depends[term] is Depends.OUTER]
        if len(moving) != 1 or moving[0].op not in (Op.FLOORDIV, Op.MIN, Op.MAX):
            return exact
        term = moving[0]
        direction = self._direction(term)
        if not direction:
            return exact
        factor = rows.terms.pop(term)

        def extreme(lowest: bool) -> Expr:
            first = (direction * factor > 0) is lowest
            return rows.plus(Linear({self._step(term, direction, first): 1}, 0), factor).expr()

        return self._against(keys.expr(), op, lambda: extreme(True), lambda: extreme(False), over)

    def _step(self, term: Expr, direction: int, first: bool) -> Expr:
        """The value of ``term`` at the first or last row of the tile, as a leaf."""
        for leaf, known in self.steps.items():
            if known == (term, first):
                return leaf
        leaf = named(f"row{len(self.steps)}", INT)
        for partner, known in self.steps.items():
            if known == (term, not first):
                low, high = (leaf, partner) if first is (direction > 0) else (partner, leaf)
                self.facts.append(make(Op.LE, low, high))
        self.steps[leaf] = (term, first)
        return leaf

    def _direction(self, node: Expr) -> int | None:
        """+1, -1: monotone in the row; 0: constant; None: unknown."""
        if self.depends[node] is Depends.TILE:
            return 0
        if node.op is Op.INDEX:
            return 1
        ways = [self._direction(arg) for arg in node.args]
        if any(way is None for way in ways):
            return None
        known = [way for way in ways if way is not None]
        match node.op:
            case Op.NEG:
                return -known[0]
            case Op.SUB:
                known[1] = -known[1]
            case Op.MUL:
                factor = node.args[1] if node.args[1].op is Op.CONST else node.args[0]
                if factor.op is not Op.CONST:
                    return None
                known = [way * (1 if factor.value > 0 else -1) for way in known]
            case Op.FLOORDIV:
                if node.args[1].op is not Op.CONST:
                    return None
                return known[0] * (1 if node.args[1].value > 0 else -1)
            case Op.ADD | Op.MIN | Op.MAX:
                pass
            case _:
                return None
        ups, downs = 1 in known, -1 in known
        return None if ups and downs else 1 if ups else -1 if downs else 0

    def _against(self, keys: Expr, op: Op, low: Callable[[], Expr], high: Callable[[], Expr], over: bool) -> Expr:
        """``keys op row`` for some row (over) or every row (under); ``low`` and ``high`` make the row's ends."""
        match op:
            case Op.LT | Op.LE:
                return make(op, keys, high() if over else low())
            case Op.GT | Op.GE:
                return make(op, keys, low() if over else high())
            case Op.EQ:
                first, last = (low(), high()) if over else (high(), low())
                return _join(Op.AND, make(Op.GE, keys, first), make(Op.LE, keys, last))
            case _:
                first, last = (high(), low()) if over else (low(), high())
                return _join(Op.OR, make(Op.LT, keys, first), make(Op.GT, keys, last))

    # documents

    def _segment(self, node: Expr) -> tuple[TensorRef, tuple[Expr, ...], bool] | None:
        """(ids, leading indices, aligned) when the node compares one id tensor at the row and at kv."""
        a, b = node.args
        if a.op is not Op.LOAD or b.op is not Op.LOAD or a.value != b.value or a.args[:-1] != b.args[:-1]:
            return None
        if b.args[-1] is not KV_IDX:
            a, b = b, a
        if b.args[-1] is not KV_IDX or any(arg is Q_IDX or arg is KV_IDX for lead in a.args[:-1] for arg in walk(lead)):
            return None
        row = linear(a.args[-1])
        if row == linear(Q_IDX):
            return a.value, a.args[:-1], False
        if row == linear(make(Op.ADD, Q_IDX, make(Op.SUB, build.N_LEN, build.M_LEN))):
            return a.value, a.args[:-1], True
        return None

    def _in_segment(self, segment: tuple[TensorRef, tuple[Expr, ...], bool], inside: bool, over: bool) -> Expr:
        ids, lead, aligned = segment

        def edge(recipe: str, reduce: str) -> Expr:
            derived = Derived(recipe, (ids,), (int(aligned),))
            shape = (*ids.shape[:-1], "M")
            table = TensorRef(f"{ids.name}_{recipe.removeprefix('segment_')}", "int32", shape, derived=derived)
            expr = load(table, (*lead, Q_IDX))
            known = (expr, reduce) in self._made
            leaf = self._bound(expr, reduce)
            if not known:
                self.facts += [make(Op.LE, const(0), leaf), make(Op.LE, leaf, build.N_LEN)]
            return leaf

        if inside == over:
            # equal for some row, or unequal for some row: the widest reading of each
            first, last = edge("segment_first", "min"), edge("segment_last", "max")
        else:
            first, last = edge("segment_first", "max"), edge("segment_last_exact", "min")
        if inside:
            return _join(Op.AND, make(Op.GE, KV_IDX, first), make(Op.LT, KV_IDX, last))
        return _join(Op.OR, make(Op.LT, KV_IDX, first), make(Op.GE, KV_IDX, last))


def _join(op: Op, *items: Expr) -> Expr:
    """AND or OR without the constants."""
    neutral, absorbing = (TRUE, FALSE) if op is Op.AND else (FALSE, TRUE)
    out = neutral
    for item in items:
        if item is absorbing:
            return absorbing
        if item is not neutral:
            out = item if out is neutral else make(op, out, item)
    return out


def _without_strict_bools(root: Expr) -> Expr:
    """Equality of two conditions is written as exclusive or, so that logic has few forms."""

    def rule(node: Expr) -> Expr:
        if node.op in (Op.EQ, Op.NE) and node.args[0].kind is Kind.BOOL:
            unequal = make(Op.XOR, *node.args)
            return unequal if node.op is Op.NE else make(Op.NOT, unequal)
        return node

    return build.rewrite(root, rule)
