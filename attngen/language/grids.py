"""Masks over grids: tokens are the cells of a 1-, 2- or 3-D grid in row-major order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from attngen.errors import SpecError
from attngen.expr.build import const
from attngen.expr.op import Op
from attngen.language.checks import positive, whole
from attngen.language.functions import apply
from attngen.language.proxy import Proxy
from attngen.language.scope import Scope
from attngen.language.term import Mask, call_text, vocabulary_mask

Sizes = int | Sequence[int]
_MOST_CELLS = 2**31 - 1  # indices are int32


def neighborhood(shape: Sizes, window: Sizes, dilation: Sizes = 1) -> Mask:
    """The nearest ``window`` cells on each axis, always that many (NATTEN, arXiv:2204.07143, 2209.15001).

    On an axis of length L, for a query at i and a key at j with dilation d: j % d == i % d and
    start <= j // d < start + window, where start = clamp(i // d - window // 2, 0, L' - window) and
    L' = ceil((L - i % d) / d) is the number of cells of that residue. Near the border the window
    slides inwards instead of shrinking.
    """
    sizes, windows, steps = _axes("neighborhood", shape=shape, window=window, dilation=dilation)
    for length, width, step in zip(sizes, windows, steps, strict=True):
        if width * step > length:
            raise SpecError(
                f"a window of {width} with dilation {step} does not fit an axis of {length}",
                place="neighborhood(window)",
                remedy="make window * dilation at most the length of the axis",
            )

    def on_axis(i: Any, j: Any, length: int, width: int, step: int) -> Any:
        if step == 1:
            start = _clamp(i - width // 2, 0, length - width)
            return (start <= j) & (j < start + width)
        cells = (length - 1 - i % step) // step + 1
        start = _clamp(i // step - width // 2, 0, cells - width)
        return (j % step == i % step) & (start <= j // step) & (j // step < start + width)

    def keep(s: Scope) -> Any:
        return _everywhere(s, sizes, lambda i, j, axis: on_axis(i, j, sizes[axis], windows[axis], steps[axis]))

    plain = steps == (1,) * len(steps)
    return vocabulary_mask(call_text("neighborhood", sizes, windows, dilation=None if plain else steps), keep)


def local_window(shape: Sizes, window: Sizes, shift: Sizes = 0) -> Mask:
    """(i - shift) // window == (j - shift) // window on each axis: windows side by side (Swin, arXiv:2103.14030).

    This is Swin's cyclic shift with its mask: cells that only the wrap-around brings together do not meet.
    """
    sizes, windows, shifts = _axes("local_window", shape=shape, window=window, shift=shift)

    def keep(s: Scope) -> Any:
        return _everywhere(
            s, sizes, lambda i, j, axis: (i - shifts[axis]) // windows[axis] == (j - shifts[axis]) // windows[axis]
        )

    still = shifts == (0,) * len(shifts)
    return vocabulary_mask(call_text("local_window", sizes, windows, shift=None if still else shifts), keep)


def _axes(mask: str, **given: Sizes) -> list[tuple[int, ...]]:
    """The arguments as one tuple each, all of the rank of ``shape``."""
    for name, value in given.items():
        if not isinstance(value, (int, list, tuple)):
            raise SpecError(f"{value!r} is no size", place=f"{mask}({name})", remedy="use an int, or one for each axis")
    rank = 1 if isinstance(given["shape"], int) else len(given["shape"])
    out = []
    for name, value in given.items():
        items = (value,) * rank if isinstance(value, int) else tuple(value)
        if len(items) != rank or not 1 <= rank <= 3:
            raise SpecError(
                f"{name} has {len(items)} axes, shape has {rank}",
                place=f"{mask}({name})",
                remedy="give 1, 2 or 3 axes to each",
            )
        for item in items:
            if name == "shift":
                whole(mask, name, item, least=0, constant=True)
            else:
                positive(mask, name, item)
        out.append(items)
    if math.prod(out[0]) > _MOST_CELLS:
        raise SpecError(
            f"a grid of {math.prod(out[0])} cells", place=f"{mask}(shape)", remedy=f"use at most {_MOST_CELLS}"
        )
    return out


def _everywhere(s: Scope, sizes: tuple[int, ...], test: Any) -> Any:
    """``test(i, j, axis)`` on every axis, i and j being the coordinates of query and key."""
    kept = None
    for axis, length in enumerate(sizes):
        inner = math.prod(sizes[axis + 1 :])
        i, j = (_coordinate(at, inner, length, first=axis == 0) for at in (s.pos, s.kv))
        one = test(i, j, axis)
        kept = one if kept is None else kept & one
    return kept


def _coordinate(at: Any, inner: int, length: int, first: bool) -> Any:
    at = at if inner == 1 else at // inner
    return at if first else at % length


def _clamp(x: Any, low: int, high: Any) -> Any:
    """max(min(x, high), low)."""
    top = high.expr if isinstance(high, Proxy) else const(high)
    return Proxy(apply(Op.MAX, apply(Op.MIN, x.expr, top), const(low)))
