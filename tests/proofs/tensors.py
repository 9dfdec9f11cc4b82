"""Tensors as unknown functions of their subscripts, for masks and for emitted text alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import z3

from attngen.expr.op import TensorRef

LENGTHS = {letter: z3.Int(letter) for letter in ("B", "H", "M", "N")}


def size_of(ref: TensorRef, dim: int) -> Any:
    """The length of a dimension at the call. Tables that the launcher makes have the leading ones of their source."""
    if isinstance(ref.shape[dim], int):
        return z3.IntVal(ref.shape[dim])
    if ref.derived is not None and dim < ref.rank - 1:
        return size_of(ref.derived.sources[0], dim)
    if ref.derived is not None:
        return LENGTHS[str(ref.shape[dim])]
    return z3.Int(f"{ref.name}_size_{dim}")


def loaded(ref: TensorRef, subscripts: Sequence[Any], *, clamp: bool) -> Any:
    """An element. The language clamps subscripts; a kernel does so itself, and has stride 0 where the size is 1."""
    kind = z3.BoolSort() if ref.dtype == "bool" else z3.IntSort()
    function = z3.Function(ref.name, *[z3.IntSort()] * ref.rank, kind)
    sizes = [size_of(ref, dim) for dim in range(ref.rank)]
    if clamp:
        inside = [z3.If(at < 0, 0, z3.If(at >= n, n - 1, at)) for at, n in zip(subscripts, sizes, strict=True)]
    else:
        inside = [z3.If(n == 1, 0, at) for at, n in zip(subscripts, sizes, strict=True)]
    return function(*inside)


def shape_facts(ref: TensorRef) -> list[Any]:
    """No dimension is empty."""
    return [size_of(ref, dim) >= 1 for dim in range(ref.rank)]


def is_segment(ref: TensorRef) -> bool:
    """Is it one of the tables that say where the document of a row lies?"""
    return ref.derived is not None and ref.derived.recipe in _TABLES


def segment_facts(ref: TensorRef, subscripts: Sequence[Any], key: Any) -> list[Any]:
    """The contract of the three tables of documents, at one row and one key.

    first <= key < last for every key with the id of the row; only those have first <= key < last_exact.
    """
    assert ref.derived is not None
    ids, (*lead, row) = ref.derived.sources[0], subscripts
    first, last, exact = (loaded(_sibling(ref, recipe), subscripts, clamp=False) for recipe in _TABLES)
    at = row + (LENGTHS["N"] - LENGTHS["M"]) if ref.derived.options[0] else row
    same = loaded(ids, [*lead, at], clamp=True) == loaded(ids, [*lead, key], clamp=True)
    inside = z3.And(key >= 0, key < LENGTHS["N"])
    return [
        z3.And(first >= 0, first <= last, last <= LENGTHS["N"]),
        z3.Or(exact == 0, exact == last),
        z3.Implies(z3.And(inside, same), z3.And(first <= key, key < last)),
        z3.Implies(z3.And(inside, first <= key, key < exact), same),
    ]


_TABLES = ("segment_first", "segment_last", "segment_last_exact")


def _sibling(ref: TensorRef, recipe: str) -> TensorRef:
    """The table of the same documents by another recipe."""
    assert ref.derived is not None
    stem = ref.name.removesuffix(ref.derived.recipe.removeprefix("segment_"))
    return replace(ref, name=stem + recipe.removeprefix("segment_"), derived=replace(ref.derived, recipe=recipe))
