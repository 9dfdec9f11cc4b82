"""Checks of the constants of the vocabulary. Texts and tensors are judged later, by the scope."""

from __future__ import annotations

from typing import Any

from attngen.errors import SpecError, did_you_mean

_INT32 = 2**31


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
