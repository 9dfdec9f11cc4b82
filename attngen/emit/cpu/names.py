"""What leaves are called in an emitted C++ kernel, by where the expression stands."""

from __future__ import annotations

from collections.abc import Mapping

from attngen.emit.cpu.dialect import broadcast, scalar_dialect, vector_dialect
from attngen.expr.axis import AXIS_BY_NAME, Axis
from attngen.expr.build import B_IDX, H_IDX, KV_IDX, M_LEN, N_LEN, Q_IDX, SCORE, length, named, param, size, substitute
from attngen.expr.op import Expr, Kind, Op, Param, TensorRef, walk
from attngen.expr.printer import Printer, Scope
from attngen.expr.ranges import nonnegative
from attngen.graph.guard import COLS, ROWS
from attngen.graph.passes.separate import Q_START
from attngen.tiling.schedule import QUERY_TILE

# Members of Call, Tile, Row and Key that every file has, and words of C++ that a user may take for a name.
RESERVED = frozenset(
    "q k v out lse B M N shared tile_offsets tile_split tile_indices call batch head kv_head q_tile q_start rows "
    "kv cols h s tile row key item scratch my r t exists query p n m d real whole element vf vi alignas alignof "
    "and asm auto bool break case catch char class compl concept const constexpr continue decltype default delete "
    "do double else enum explicit export extern false float for friend goto if inline int long mutable namespace "
    "new noexcept not nullptr operator or private protected public register requires return short signed sizeof "
    "static struct switch template this thread_local throw true try typedef typeid typename union unsigned using "
    "virtual void volatile while xor INF NOT_A_NUMBER INL NOINLINE UNROLLED SHUFFLE "
    "LANES BLOCK_M BLOCK_N GRAIN Q_TILES SWEEPS STAGE unix linux".split()
) | frozenset(f"{x}_{d}" for x, dims in (("q", "bhm"), ("k", "bhn"), ("v", "bhn"), ("out", "bhm")) for d in dims)

Q_TILE = named(QUERY_TILE, Kind.INT)
IN_N = named("kv < tile.N", Kind.BOOL, "column")
"""Whether the key exists."""


def member(name: str) -> str:
    """A user's name as a member of a struct."""
    return f"{name}_" if name in RESERVED or "__" in name or name.startswith("_") else name


def size_member(tensor: TensorRef, dim: int) -> str:
    return f"{member(tensor.name)}_size_{dim}"


def stride_member(tensor: TensorRef, dim: int) -> str:
    return f"{member(tensor.name)}_stride_{dim}"


def literal_of(dtype: str) -> str:
    """The suffix of a real constant."""
    return "" if dtype == "fp64" else "f"


class Names:
    """The names of one variant. ``packed``: a row is a (query, head) pair. ``column_lanes``: a decoding
    vector holds several keys, so that keys are vectors too."""

    def __init__(
        self, params: tuple[Param, ...], tensors: tuple[TensorRef, ...], dtype: str, *, packed: bool, column_lanes: bool
    ) -> None:
        self.packed, self.column_lanes = packed, column_lanes
        suffix = literal_of(dtype)
        self._literal = lambda value: f"{value!r}{suffix}"
        self._tile: dict[Expr, str] = {
            B_IDX: "tile.batch", M_LEN: "tile.M", N_LEN: "tile.N", length("B"): "tile.B",
            Q_TILE: "tile.q_tile", Q_START: "tile.q_start",
        }  # fmt: skip
        if not packed:
            self._tile[H_IDX] = "tile.head"
        self._tile |= {param(item): f"tile.{member(item.name)}" for item in params}
        self._tile |= {
            size(ref, dim): f"whole(tile.call.{size_member(ref, dim)})" for ref in tensors for dim in range(ref.rank)
        }
        self._row = {Q_IDX: "row.q", ROWS: "row.rows"} | ({H_IDX: "row.h"} if packed else {})
        self._key = {KV_IDX: "key.kv", COLS: "key.cols"}

    def scalars(self, own: Mapping[Expr, str] | None = None) -> Printer:
        """For values of a query tile, or with ``own`` names (of a row in a scalar loop, of a key)."""
        names = self._tile | dict(own or {})
        scope = {leaf: (text, Axis.TILE) for leaf, text in names.items()}
        return Printer(scalar_dialect(self._literal), Scope(scope, _scalar_address, _scalar_load, nonnegative))

    def vectors(self, own: Mapping[Expr, str] | None = None) -> Printer:
        """For values of rows and of pairs of a row and a key."""
        names = self._tile | self._row | self._key | {SCORE: "s"} | dict(own or {})
        scope = {leaf: (text, Axis.TILE) for leaf, text in names.items()}
        vector = {Q_IDX, ROWS, H_IDX, KV_IDX, COLS} if self.column_lanes else {Q_IDX, ROWS, H_IDX}
        is_vector = _Vectors(vector if self.packed else vector - {H_IDX}, self.column_lanes)
        return Printer(vector_dialect(self._literal), Scope(scope, is_vector.address, is_vector.load, nonnegative))


def placed(root: Expr, structs: Mapping[str, str], vector: bool) -> Expr:
    """Hoisted values with the struct that holds them; ``structs``: axis -> "tile.", "row." or "key."."""
    swaps: dict[Expr, Expr] = {}
    for node in walk(root):
        if node.op is not Op.NAMED or node in (Q_TILE, Q_START, ROWS, COLS):
            continue
        prefix = structs.get(node.value.axis, "")
        scalar = node.value.axis == "tile" or (node.value.axis == "column" and structs.get("keys") != "vector")
        name = f"{prefix}{node.value.name}"
        name = broadcast(name, node.kind) if vector and scalar else name
        swaps[node] = named(name, node.kind, node.value.axis)
    return substitute(root, swaps)


def _stride(ref: TensorRef, dim: int) -> str:
    return f"tile.call.{stride_member(ref, dim)}"


def _used_dims(node: Expr) -> list[int]:
    """Dimensions that move the address: those of size 1 and constant 0 do not."""
    ref: TensorRef = node.value
    return [
        dim for dim, arg in enumerate(node.args) if ref.shape[dim] != 1 and not (arg.op is Op.CONST and arg.value == 0)
    ]


def _scalar_address(node: Expr, indices: list[str]) -> list[str]:
    terms = [f"tile.call.{member(node.value.name)}"]
    return terms + [f"{indices[dim]} * {_stride(node.value, dim)}" for dim in _used_dims(node)]


def _scalar_load(node: Expr, address: str) -> str:
    return f"value(*({address}))"


class _Vectors:
    """Loads in a statement of vectors: the address is a pointer for all lanes, and `spread` adds what differs."""

    def __init__(self, leaves: set[Expr], column_lanes: bool) -> None:
        self.leaves = leaves
        self.axes = {Axis.ROW, Axis.BOTH, Axis.COLUMN} if column_lanes else {Axis.ROW, Axis.BOTH}

    def _varies(self, index: Expr) -> bool:
        return any(leaf in self.leaves or self._hoisted(leaf) for leaf in walk(index))

    def _hoisted(self, leaf: Expr) -> bool:
        known = (Q_TILE, Q_START, ROWS, COLS)
        return leaf.op is Op.NAMED and leaf not in known and AXIS_BY_NAME[leaf.value.axis] in self.axes

    def address(self, node: Expr, indices: list[str]) -> list[str]:
        ref: TensorRef = node.value
        terms = [f"spot(tile.call.{member(ref.name)})"]
        for dim in _used_dims(node):
            text, stride = indices[dim], _stride(ref, dim)
            bare = text[1:-1] if text.startswith("(") and text.endswith(")") and _closes(text) else text
            terms.append(f"spread({bare}, {stride})" if self._varies(node.args[dim]) else f"{text} * {stride}")
        return terms

    def load(self, node: Expr, address: str) -> str:
        return f"gather({address})"


def _closes(text: str) -> bool:
    """Whether the first parenthesis is closed by the last."""
    depth = 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return i == len(text) - 1
    return False


def declared(lines: list[str], into: str = "") -> str:
    """Statements "name = text" as C++; the last one assigns to ``into`` where that is given."""
    seen: set[str] = set()
    out = []
    for i, line in enumerate(lines):
        name, text = line.split(" = ", 1)
        if into and i == len(lines) - 1:
            out.append(f"{into} = {text};")
        elif name in seen:
            out.append(f"{name} = {text};")
        else:
            # an address grows by summands
            out.append(f"{'auto' if name.endswith('_at') else 'const auto'} {name} = {text};")
        seen.add(name)
    return "\n".join(out)
