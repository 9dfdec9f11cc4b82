"""What a spec's masks and scores may refer to while they become expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attngen.errors import SpecError, did_you_mean
from attngen.expr.build import B_IDX, H_IDX, KV_IDX, M_LEN, N_LEN, Q_IDX, const, load, param, size
from attngen.expr.op import Derived, Expr, Kind, Op, Param, TensorRef, intern, walk
from attngen.language.arrays import captured_array, dtype_name, is_array
from attngen.language.definition import Heads
from attngen.language.names import unique_name
from attngen.language.proxy import Proxy

Parse = Callable[[str, "Scope"], Expr]
Number = int | str | Any
"""An int, the text of an integer expression such as a declared parameter, or a tensor of one number a batch or head."""


class Scope:
    """The names of one spec: heads, declared parameters and tensors, and the arrays captured on the way.

    ``captured`` maps the name of each captured tensor to its array, in the order of first use. One
    array is captured once, however many masks and scores read it.
    """

    def __init__(
        self, heads: Heads, params: Mapping[str, Param], declared: Mapping[str, TensorRef], parse: Parse
    ) -> None:
        self.heads, self.params, self.declared, self._parse = heads, dict(params), dict(declared), parse
        self.captured: dict[str, Any] = {}
        self.used: set[str] = set()
        self._refs: dict[int, TensorRef] = {}
        self._derived: dict[tuple[str, TensorRef], TensorRef] = {}
        self._originals: list[Any] = []  # keeps the ids in `_refs` true
        self._pinned: dict[str, dict[int, int]] = {}
        self.b, self.h, self.q, self.kv = Proxy(B_IDX), Proxy(H_IDX), Proxy(Q_IDX), Proxy(KV_IDX)
        self.M, self.N = Proxy(M_LEN), Proxy(N_LEN)

    @property
    def pos(self) -> Any:
        """The position of a query among the keys: the last query stands at the last key."""
        return self.q + (self.N - self.M)

    # tensors

    def capture(self, array: Any, hint: str) -> TensorRef:
        """The tensor of an array: its dimensions of size 1 broadcast, the others may have any size."""
        if id(array) not in self._refs:
            kept = captured_array(array, f"captured `{hint}`")
            name = unique_name(hint, self._taken())
            shape = tuple(1 if int(n) == 1 else None for n in kept.shape)
            self._refs[id(array)] = TensorRef(name, dtype_name(kept), shape, captured=True)
            self.captured[name] = kept
            self._originals.append(array)
        return self._refs[id(array)]

    def pin(self, tensor: TensorRef, dim: int, count: int) -> None:
        """A dimension whose size the expression has taken as a constant."""
        self._pinned.setdefault(tensor.name, {})[dim] = count

    def integers(self, value: Any, hint: str, place: str, ranks: Sequence[int]) -> TensorRef:
        """A `tensor` of ids, lengths or indices."""
        ref = self.tensor(value, hint, place, ranks)
        if not ref.dtype.startswith("int"):
            raise SpecError(f"`{ref.name}` is {ref.dtype}", place=place, remedy="use a tensor or list of integers")
        return ref

    def tensor(self, value: Any, hint: str, place: str, ranks: Sequence[int]) -> TensorRef:
        """A declared tensor by name, or an array to capture; of one of these ranks."""
        if isinstance(value, str):
            if value not in self.declared:
                known = ", ".join(self.declared) or "none"
                raise SpecError(
                    f"`{value}` is not a declared tensor",
                    place=place,
                    remedy=f"declare it in `tensors` (declared: {known})"
                    + (f"; {did_you_mean(value, self.declared)}" if self.declared else ""),
                )
            self.used.add(value)
            ref = self.declared[value]
        elif is_array(value):
            ref = self.capture(value, hint)
        else:
            raise SpecError(
                f"{value!r} is not a tensor",
                place=place,
                remedy="give a tensor, a list, or the name of a declared tensor",
            )
        if ref.rank not in ranks:
            raise SpecError(
                f"`{ref.name}` has {ref.rank} dimensions",
                place=place,
                remedy=f"give {' or '.join(map(str, ranks))} dimensions",
            )
        return ref

    def derive(
        self, recipe: str, source: TensorRef, shape: Sequence[int | str | None], dtype: str, suffix: str
    ) -> TensorRef:
        """A tensor that the launcher makes of another one at the call."""
        key = (recipe, source)
        if key not in self._derived:
            name = unique_name(f"{source.name}_{suffix}", self._taken())
            self._derived[key] = TensorRef(name, dtype, tuple(shape), derived=Derived(recipe, (source,)))
        return self._derived[key]

    def load(self, tensor: TensorRef, leading: Sequence[Proxy], *trailing: Any) -> Proxy:
        """tensor[..., trailing], the leading subscripts being the last ones of ``leading`` that there is room for."""
        count = tensor.rank - len(trailing)
        head = [item.expr for item in leading[len(leading) - count :]] if count else []
        tail = [item.expr if isinstance(item, Proxy) else const(item) for item in trailing]
        return Proxy(load(tensor, head + tail))

    def size(self, tensor: TensorRef, dim: int) -> Proxy:
        return Proxy(size(tensor, dim % tensor.rank))

    def _taken(self) -> set[str]:
        derived = (ref.name for ref in self._derived.values())
        return {*self.captured, *self.declared, *self.params, *derived}

    # numbers

    def parameter(self, name: str) -> Expr:
        self.used.add(name)
        return param(self.params[name])

    def number(self, value: Number, place: str, kind: Kind = Kind.INT, by: str = "b") -> Proxy:
        """A constant, the text of an expression that is the same for all queries and keys, or a tensor.

        A tensor holds one number a batch ([B]) or head ([H]), or [B, H]. A declared one says which by
        its letter; a captured one of one dimension is indexed by ``by``.
        """
        if isinstance(value, bool) or (isinstance(value, float) and kind is Kind.INT):
            raise SpecError(
                f"{value!r} is not an integer", place=place, remedy="use an integer or a declared int32 parameter"
            )
        if isinstance(value, (int, float)):
            return Proxy(const(float(value) if kind is Kind.FLOAT else value))
        if isinstance(value, str) and value not in self.declared:
            expr = self._parse(value, self)
        else:
            expr = self._per_row(self.tensor(value, "per_head" if by == "h" else "per_batch", place, (0, 1, 2)), by)
        if any(node.op is Op.SCORE or node in (Q_IDX, KV_IDX) for node in walk(expr)):
            raise SpecError(
                f"`{value}` changes with the query or key", place=place, remedy="use lengths, parameters, b and h"
            )
        if expr.kind is not kind and not (kind is Kind.FLOAT and expr.kind is Kind.INT):
            raise SpecError(
                f"`{value}` is of kind {expr.kind.value}", place=place, remedy=f"use an expression of kind {kind.value}"
            )
        return Proxy(expr)

    def _per_row(self, tensor: TensorRef, by: str) -> Expr:
        index = {"b": B_IDX, "h": H_IDX, "B": B_IDX, "H": H_IDX}
        if tensor.rank == 2:
            return load(tensor, (B_IDX, H_IDX))
        letters = [index.get(str(n), index[by]) for n in tensor.shape]
        return load(tensor, letters)

    def parse(self, text: str) -> Expr:
        return self._parse(text, self)

    # the end

    def finish(self, expr: Expr) -> Expr:
        """The expression with the pinned sizes written into its tensors."""
        pinned = {name: self._with_pins(name) for name in self._pinned}
        if not pinned:
            return expr
        done: dict[Expr, Expr] = {}
        for node in walk(expr):
            args = tuple(done[arg] for arg in node.args)
            value = node.value
            if node.op is Op.LOAD and value.name in pinned:
                value = pinned[value.name]
            elif node.op is Op.SIZE and value[0].name in pinned:
                value = (pinned[value[0].name], value[1])
            done[node] = intern(node.op, args, value, node.kind)
        return done[expr]

    def _with_pins(self, name: str) -> TensorRef:
        ref = next(ref for ref in self._refs.values() if ref.name == name)
        sizes = self._pinned[name]
        return TensorRef(name, ref.dtype, tuple(sizes.get(i, n) for i, n in enumerate(ref.shape)), captured=True)
