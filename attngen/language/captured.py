"""What a traced callable holds: scalars, captured tensors on their way to a load, and short vectors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from attngen.errors import TraceError
from attngen.expr.build import const, load, make, size, to_int
from attngen.expr.op import Expr, Kind, Op, TensorRef
from attngen.language.arrays import is_array, is_torch
from attngen.language.proxy import REFLECTED, Operators, Proxy, Traced, lift

_LONGEST_VECTOR = 256

Dispatch = Callable[["Session", str, Sequence[Any], Mapping[str, Any]], Any]


class Session:
    """One trace: where captured arrays go, and how torch's functions are looked up.

    ``capture(array, name hint)`` gives the tensor of an array; ``names`` maps ``id(array)`` to the
    name that the callable has for it.
    """

    def __init__(
        self,
        capture: Callable[[Any, str], TensorRef],
        pin: Callable[[TensorRef, int, int], None],
        names: Mapping[int, str],
        dispatch: Dispatch,
    ) -> None:
        self._capture, self.pin, self._names, self.dispatch = capture, pin, names, dispatch
        self.paused = False

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """torch computes for real meanwhile: what is subscripted with constants alone is no view."""
        before, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = before

    def scalar(self, expr: Expr) -> Scalar:
        return Scalar(self, expr)

    def view(self, array: Any) -> View:
        """The whole of a captured array, nothing indexed yet."""
        return View(self, array, (None,) * len(array.shape))

    def tensor(self, array: Any) -> TensorRef:
        return self._capture(array, self._names.get(id(array), "captured"))

    def items(self, value: Any) -> Expr | tuple[Expr, ...]:
        """One expression, or those of a vector."""
        if isinstance(value, Vector):
            return value.items
        if isinstance(value, View):
            return value.items
        expr = lift(value)
        if expr is not None:
            return expr
        if is_array(value) and not isinstance(value, (list, tuple)):
            return self.view(value).items
        raise TraceError(
            f"a {type(value).__name__} is combined with an index or score",
            remedy="use numbers, tensors, or what the callable is given",
        )

    def map(self, function: Callable[..., Expr], *operands: Any) -> Any:
        """``function`` over scalars, or over each element when an operand is a vector."""
        items = [self.items(operand) for operand in operands]
        lengths = {len(item) for item in items if isinstance(item, tuple)} - {1}
        if not any(isinstance(item, tuple) for item in items):
            return self.scalar(function(*items))
        if len(lengths) > 1:
            raise TraceError(f"vectors of lengths {sorted(lengths)} are combined", remedy="give them one length")
        count = lengths.pop() if lengths else 1
        rows = [item * (count // len(item)) if isinstance(item, tuple) else (item,) * count for item in items]
        return Vector(self, tuple(function(*row) for row in zip(*rows, strict=True)))


class Recorded(Operators):
    """What `Scalar`, `Vector` and `View` share: operators, methods and torch functions go to the session."""

    __slots__ = ()
    session: Session

    def _binary(self, rule: Callable[[Expr, Expr], Expr], other: Any, *, mirrored: bool) -> Any:
        return self.session.map(rule, other, self) if mirrored else self.session.map(rule, self, other)

    def _unary(self, rule: Callable[[Expr], Expr]) -> Any:
        return self.session.map(rule, self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.session.dispatch(self.session, "." + name, (self,), {})

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        first = next(traced((*args, *(kwargs or {}).values())))
        return first.session.dispatch(first.session, function_name(func), args, kwargs or {})

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        """NumPy's elementwise functions have torch's names."""
        if method != "__call__":
            refuse(f"np.{ufunc.__name__}.{method}", "use torch's functions")
        return self.session.dispatch(self.session, ufunc.__name__, args, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Sequence[Any], kwargs: Any) -> Any:
        return self.session.dispatch(self.session, func.__name__, args, kwargs)


class Scalar(Recorded, Proxy):
    """An index, a score, or what was computed of them."""

    __slots__ = ("session",)

    def __init__(self, session: Session, expr: Expr) -> None:
        super().__init__(expr)
        self.session = session


class Vector(Recorded):
    """A few expressions side by side, from a row of a captured tensor; reductions make it a scalar."""

    __slots__ = ("items", "session")

    def __init__(self, session: Session, items: tuple[Expr, ...]) -> None:
        self.session, self.items = session, items

    def __repr__(self) -> str:
        return f"<traced row of {len(self.items)}>"

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, int) and not isinstance(i, bool):
            return self.session.scalar(self.items[i])
        if isinstance(i, slice):
            return Vector(self.session, self.items[i])
        return super().__getattr__("a row subscripted with an index")

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.items)

    def __iter__(self) -> Iterator[Scalar]:  # type: ignore[override]
        return (self.session.scalar(item) for item in self.items)


class View(Recorded):
    """A captured array with some of its dimensions indexed: ``t[b]`` of ``t[b][h][q, k]``.

    ``index`` has an integer expression for each indexed dimension and None for the rest.
    """

    __slots__ = ("array", "index", "session")

    def __init__(self, session: Session, array: Any, index: tuple[Expr | None, ...]) -> None:
        self.session, self.array, self.index = session, array, index

    def __repr__(self) -> str:
        return f"<captured array of shape {tuple(self.array.shape)}>"

    @property
    def open(self) -> list[int]:
        """The dimensions without an index."""
        return [dim for dim, item in enumerate(self.index) if item is None]

    @property
    def items(self) -> Expr | tuple[Expr, ...]:
        """The load, or one load an element when one dimension is still open (its size is then fixed)."""
        ref, free = self.session.tensor(self.array), self.open
        if not free:
            return load(ref, [item for item in self.index if item is not None])
        count = int(self.array.shape[free[0]])
        if len(free) > 1 or count > _LONGEST_VECTOR:
            shape = tuple(int(self.array.shape[dim]) for dim in free)
            raise TraceError(
                f"`{ref.name}` of shape {tuple(self.array.shape)} has {len(free)} open dimension(s) {shape}",
                remedy=f"index it down to a scalar, or to one dimension of at most {_LONGEST_VECTOR}",
            )
        self.session.pin(ref, free[0], count)
        return tuple(load(ref, [const(i) if item is None else item for item in self.index]) for i in range(count))

    @property
    def constant(self) -> bool:
        """Nothing but Python integers index it: NumPy or torch can compute it now."""
        return all(item is None or item.op is Op.CONST for item in self.index)

    @property
    def value(self) -> Any:
        """The array itself, where `constant`."""
        with self.session.pause():
            return self.array[tuple(slice(None) if item is None else item.value for item in self.index)]

    def __getitem__(self, key: Any) -> Any:
        keys = list(key) if isinstance(key, tuple) else [key]
        if any(item is Ellipsis for item in keys):
            at = next(i for i, item in enumerate(keys) if item is Ellipsis)
            keys[at : at + 1] = [slice(None)] * (len(self.open) - len(keys) + 1)
        if len(keys) > len(self.open):
            raise TraceError(
                f"a captured tensor of shape {tuple(self.array.shape)} is indexed with too many subscripts",
                remedy="give at most one subscript a dimension",
            )
        index = list(self.index)
        for dim, item in zip(self.open, keys, strict=False):
            if isinstance(item, slice) and item == slice(None):
                continue
            index[dim] = self._subscript(item, dim)
        return View(self.session, self.array, tuple(index))

    def _subscript(self, item: Any, dim: int) -> Expr:
        expr = self.session.items(item) if not isinstance(item, (slice, type(None), list)) else None
        if not isinstance(expr, Expr) or expr.kind is Kind.FLOAT:
            raise TraceError(
                f"a captured tensor is subscripted with {item!r}", remedy="use one integer, index or `:` a dimension"
            )
        if expr.op is Op.CONST and not isinstance(expr.value, bool):
            count = int(self.array.shape[dim])
            if not -count <= expr.value < count:
                raise TraceError(
                    f"index {expr.value} is outside dimension {dim} of a tensor of shape {tuple(self.array.shape)}",
                    remedy=f"use {-count} to {count - 1}",
                )
            if expr.value < 0:  # counts from the end, whatever the size will be
                return make(Op.ADD, size(self.session.tensor(self.array), dim), expr)
        return to_int(expr)

    def _now(self, what: str) -> Any:
        if not self.constant:
            return Traced.__bool__(self)
        return self.value

    def __bool__(self) -> bool:  # type: ignore[override]
        return bool(self._now("bool"))

    def __int__(self) -> int:  # type: ignore[override]
        return int(self._now("int"))

    def __index__(self) -> int:  # type: ignore[override]
        return int(self._now("index"))

    def __float__(self) -> float:  # type: ignore[override]
        return float(self._now("float"))

    def __len__(self) -> int:  # type: ignore[override]
        return int(self.array.shape[self.open[0]])

    def __iter__(self) -> Iterator[View]:  # type: ignore[override]
        return (self[i] for i in range(len(self)))

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self._now("array") if not is_torch(self.array) else self._now("array").numpy()


def traced(values: Any) -> Iterator[Any]:
    """The traced things in arguments, lists within them included."""
    for value in values:
        if isinstance(value, Recorded):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from traced(value)


def function_name(func: Any) -> str:
    """``torch.add``, ``Tensor.add`` and ``Tensor.__add__`` are "add"; ``Tensor.__radd__`` is "reflected add"."""
    name = str(getattr(func, "__name__", func))
    if not name.startswith("__"):
        return name
    name = name.strip("_")
    return f"reflected {name[1:]}" if name.startswith("r") and name[1:] in REFLECTED else name


def refuse(name: str, near: str) -> NoReturn:
    raise TraceError(f"`{name}` has no form in a kernel", remedy=near)
