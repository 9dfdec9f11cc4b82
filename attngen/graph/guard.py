"""Keep every load inside its tensor: an index is proven in range, checked by the launcher, or clamped."""

from __future__ import annotations

from attngen.expr.build import KV_IDX, Q_IDX, const, load, make, named, rewrite, size, substitute
from attngen.expr.linear import as_sum, from_sum
from attngen.expr.op import Expr, Kind, Op, TensorRef, walk
from attngen.expr.ranges import nonnegative, upper_bound

ROWS = named("rows", Kind.INT, "row")
"""The rows of the tile, clamped to the last query: rows beyond the end are computed and never stored."""

COLS = named("cols", Kind.INT, "column")
"""The keys of the tile, clamped to the last key in tiles that reach beyond the end."""


Needs = dict[tuple[TensorRef, int], tuple[Expr, ...]]
"""(tensor, dimension) -> lengths that the launcher must find there, or 1, which broadcasts."""


class Guard:
    """Rewrites the loads of expressions and collects what the launcher has to check."""

    def __init__(self, needs: Needs | None = None) -> None:
        self.needs: Needs = needs or {}

    def __call__(self, root: Expr) -> Expr:
        return rewrite(root, self._rule)

    def _rule(self, node: Expr) -> Expr:
        if node.op is not Op.LOAD:
            return node
        return load(node.value, [self._index(node.value, dim, arg) for dim, arg in enumerate(node.args)])

    def _index(self, tensor: TensorRef, dim: int, index: Expr) -> Expr:
        if tensor.shape[dim] == 1:
            return const(0)
        inside = substitute(index, {Q_IDX: ROWS, KV_IDX: COLS})
        known = self.needs.get((tensor, dim), ())
        # the value of another tensor may be anything
        bound = None if any(leaf.op is Op.LOAD for leaf in walk(index)) else upper_bound(index)
        if bound is not None and nonnegative(index):
            minimum = from_sum(as_sum(make(Op.ADD, bound, const(1))))
            self.needs[tensor, dim] = known if minimum in known else (*known, minimum)
            return inside
        self.needs[tensor, dim] = known
        last = make(Op.SUB, size(tensor, dim), const(1))
        return make(Op.MIN, make(Op.MAX, inside, const(0)), last)
