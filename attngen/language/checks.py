"""Checks of the constants of the vocabulary. Texts and tensors are judged later, by the scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attngen.errors import SpecError, did_you_mean

LARGEST_FLOAT = 3.4028234663852886e38  # of float32
_INT32 = 2**31
_T = TypeVar("_T")


def at(place: str, make: Callable[[], _T]) -> _T:
    """What ``make`` gives; its errors stand at ``place``, and at their own place within it."""
    try:
        return make()
    except SpecError as error:
        raise type(error)(
            error.what, place=f"{place}, {error.place}" if error.place else place, remedy=error.remedy
        ) from error


def is_float(value: Any) -> bool:
    """A finite number of float32, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST_FLOAT


def positive(entry: str, name: str, value: Any) -> None:
    """A constant of at least 1: strides, chunks and row widths."""
    whole(entry, name, value, least=1, constant=True)


def whole(entry: str, name: str, value: Any, *, least: int, constant: bool = False) -> None:
    """An int of at least ``least``; unless ``constant``, texts and tensors (and None) pass."""
    is_int = isinstance(value, int) and not isinstance(value, bool)
    if is_int and least <= value < _INT32:
        return
    if not constant and not is_int and not isinstance(value, (bool, float)):
        return
    raise SpecError(
        f"{value!r} is no integer from {least} on",
        place=f"{entry}({name})",
        remedy=f"use a constant int >= {least}" if constant else f"use an int >= {least} or a declared int32 parameter",
    )


def one_of(entry: str, name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SpecError(f"{value!r} is not known", place=f"{entry}({name})", remedy=did_you_mean(str(value), known))
