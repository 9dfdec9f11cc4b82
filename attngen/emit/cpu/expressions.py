"""Score, mask, hoisted values and bounds of one variant, as C++ statements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attngen.emit.cpu.dialect import legalize
from attngen.emit.cpu.names import IN_N, Names, declared, placed
from attngen.emit.cpu.view import BoundView, Member
from attngen.expr.axis import Axis, axes
from attngen.expr.build import H_IDX, KV_IDX, Q_IDX, SCORE, make, substitute
from attngen.expr.op import Expr, Kind, Op, walk
from attngen.expr.printer import Printer
from attngen.graph.guard import COLS, ROWS
from attngen.graph.node import Hoisted, Node
from attngen.tiling.schedule import Bound

_STRUCTS = {"tile": "tile.", "row": "row.", "column": "key."}
_SCALAR = {Kind.BOOL: "bool ", Kind.INT: "whole ", Kind.FLOAT: "real "}
_VECTOR = {Kind.BOOL: "vi ", Kind.INT: "vi ", Kind.FLOAT: "vf "}


@dataclass(frozen=True, slots=True)
class Values:
    """Members of a struct and the statements that fill them."""

    members: tuple[Member, ...]
    text: str


def prescaled(score: Expr) -> tuple[Expr, float]:
    """(the score of a product that holds the factor already, the factor): 1.0 where there is none to take out."""
    users = [node for node in walk(score) if any(arg is SCORE for arg in node.args)]
    factors = {arg.value for node in users for arg in node.args if node.op is Op.MUL and arg.op is Op.CONST}
    if len(users) != 1 or users[0].op is not Op.MUL or len(factors) != 1:
        return score, 1.0
    return substitute(score, {users[0]: SCORE}), float(factors.pop())


class Expressions:
    """``axis_of`` what varies inside a tile; see `Names` for the flags."""

    def __init__(self, names: Names, score: Node, mask: Node | None, *, bound_check: bool) -> None:
        assert score.expr is not None
        self.names, self.bound_check = names, bound_check
        self.score, self.mask = score.expr, mask.expr if mask is not None else None
        hoisted: dict[str, Hoisted] = {}
        for node in (score, *(() if mask is None else (mask,))):
            hoisted.update({item.name: item for item in node.hoisted})
        self.hoisted = tuple(hoisted.values())

    def tile(self) -> Values:
        return self._values("tile", "tile", self.names.scalars, _SCALAR)

    def rows(self) -> Values:
        values = self._values("row", "row", self.names.vectors, _VECTOR)
        if not self._reads(ROWS):
            return values
        member, line = Member("vi ", "rows"), "row.rows = minimum(row.q, tile.M - 1);"
        return Values((member, *values.members), "\n".join(filter(None, [line, values.text])))

    def keys(self) -> Values:
        """Of one key; in a decoding vector, of its keys."""
        own = {KV_IDX: "kv", COLS: "key.cols"}
        if self.names.column_lanes:
            values = self._values("column", "key", lambda: self.names.vectors(own), _VECTOR)
            kind, truth = "vi ", "vi "
        else:
            values = self._values("column", "key", lambda: self.names.scalars(own), _SCALAR)
            kind, truth = "whole ", "bool "
        first = [(Member(kind, "cols"), "key.cols = minimum(kv, tile.N - 1);")] if self._reads(COLS) else []
        if self.checks_bound:
            first.append((Member(truth, "exists"), "key.exists = kv < tile.N;"))
        lines = [line for _, line in first] + [values.text]
        return Values((*(item for item, _ in first), *values.members), "\n".join(filter(None, lines)))

    @property
    def checks_bound(self) -> bool:
        return self.mask is None or self.bound_check

    def score_text(self, expr: Expr) -> str:
        if expr is SCORE:
            return ""
        return self._pair(expr, "s", "real")

    def keep_text(self) -> str:
        keep = IN_N if self.mask is None else make(Op.AND, self.mask, IN_N) if self.bound_check else self.mask
        return self._pair(keep, "keep", "bool")

    def _pair(self, expr: Expr, name: str, kind: str) -> str:
        """A value of (row, key) pairs as a vector, also where it does not vary over the rows."""
        axis = axes(expr, row_heads=self.names.packed)
        vector = bool(axis[expr] & Axis.ROW) or (self.names.column_lanes and axis[expr] is not Axis.TILE)
        if vector:
            # a scalar half of a vector expression was hoisted, unless the whole mask is the half and the bound check
            text = self._in_vector(expr, axis)
            return declared(self.names.vectors().statements(text, name, Axis.BOTH), "s" if name == "s" else "")
        scalar = self.names.scalars({KV_IDX: "key.kv", COLS: "key.cols"})
        lines = scalar.statements(placed(legalize(expr), _STRUCTS, vector=False), f"{name}_of_key", Axis.TILE)
        out = f"s = lanes({kind}({name}_of_key));" if name == "s" else f"const vi keep = lanes({name}_of_key);"
        return f"{declared(lines)}\n{out}"

    def _in_vector(self, expr: Expr, axis: dict[Expr, Axis]) -> Expr:
        return placed(legalize(expr), self._structs, vector=True)

    @property
    def _structs(self) -> dict[str, str]:
        return {**_STRUCTS, "keys": "vector"} if self.names.column_lanes else _STRUCTS

    def _values(self, axis: str, struct: str, printer: Callable[[], Printer], types: dict[Kind, str]) -> Values:
        members, lines = [], []
        vector = types is _VECTOR
        for item in self.hoisted:
            if item.axis != axis:
                continue
            expr = placed(legalize(item.expr), self._structs, vector=vector)
            statements = printer().statements(expr, item.name, Axis.TILE)
            members.append(Member(types[item.expr.kind], item.name))
            text = declared(statements, f"{struct}.{item.name}")
            lines.append(text if not vector else _as_vector(text))
        return Values(tuple(members), "\n".join(lines))

    def _reads(self, leaf: Expr) -> bool:
        roots = [self.score, *([] if self.mask is None else [self.mask]), *(item.expr for item in self.hoisted)]
        return any(node is leaf for node in walk(*roots))

    def reads_row_head(self, more: tuple[Expr, ...] = ()) -> bool:
        """Whether rows need their head as a vector."""
        roots = [self.score, *([] if self.mask is None else [self.mask]), *(item.expr for item in self.hoisted), *more]
        return self.names.packed and any(node is H_IDX for node in walk(*roots))


def _as_vector(text: str) -> str:
    """The last assignment with its value in all lanes, whatever it is."""
    head, sep, last = text.rpartition("\n")
    name, value = last.rstrip(";").split(" = ", 1)
    return f"{head}{sep}{name} = lanes({value});"


_FIRST = {"min": ("minimum", "INT32_MAX"), "max": ("maximum", "INT32_MIN")}


def bound_views(bounds: list[tuple[Bound, Expr]], names: Names) -> tuple[str, tuple[BoundView, ...]]:
    """(statements of bounds that all rows share, bounds that are reduced over the rows)."""
    uniform, reduced = [], []
    own = {Q_IDX: "query", ROWS: "query"}
    if names.packed:
        own[H_IDX] = "head"
    for bound, expr in bounds:
        expr = legalize(expr)
        if bound.reduce == "uniform":
            uniform += names.scalars().statements(expr, bound.name, Axis.TILE)
            continue
        value = f"{bound.name}_row"
        body = declared(names.scalars(own).statements(expr, value, Axis.TILE))
        function, first = _FIRST[bound.reduce]
        reduced.append(BoundView(bound.name, "whole", first, body, value, function))
    return declared(uniform), tuple(reduced)
