"""How derived tensors are made of others, as NumPy functions: the reference for every launcher.

A recipe is ``(arrays, options, M, N) -> array``; ``arrays`` are the sources in order, whose leading
dimensions (batch or head) are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.expr.op import TensorRef

Array = npt.NDArray[Any]
Recipe = Callable[[Sequence[Array], Sequence[int], int, int], Array]


def _each_row(source: Array, row: Callable[[Array], Array]) -> Array:
    """``row`` applied to the last dimension, the leading ones kept."""
    flat = source.reshape(-1, source.shape[-1])
    results = np.stack([row(line) for line in flat])
    return results.reshape(*source.shape[:-1], *results.shape[1:])


def segment_ids(arrays: Sequence[Array], options: Sequence[int], m: int, n: int) -> Array:
    """cu_seqlens [.., D + 1] -> int32 ids [.., N]: how many of cu_seqlens[1:] are at or below the position."""
    positions = np.arange(n)
    return _each_row(arrays[0], lambda line: np.searchsorted(line[1:], positions, side="right").astype(np.int32))


def index_flags(arrays: Sequence[Array], options: Sequence[int], m: int, n: int) -> Array:
    """indices [.., n] -> bool flags [.., N]: true at the listed indices; those outside 0 .. N - 1 are ignored."""

    def row(line: Array) -> Array:
        flags = np.zeros(n, np.bool_)
        flags[line[(line >= 0) & (line < n)]] = True
        return flags

    return _each_row(arrays[0], row)


def tree_ancestors(arrays: Sequence[Array], options: Sequence[int], m: int, n: int) -> Array:
    """parents [.., M] -> bool [.., M, M]: whether column is an ancestor of row, or row itself. -1 is no parent."""

    def row(parents: Array) -> Array:
        seen = np.eye(m, dtype=np.bool_)
        for node in range(min(m, len(parents))):
            at, steps = int(parents[node]), 0
            while 0 <= at < m and steps < m:  # a cycle ends after m steps
                seen[node, at] = True
                at, steps = int(parents[at]), steps + 1
        return seen

    return _each_row(arrays[0], row)


def _segment(arrays: Sequence[Array], options: Sequence[int], m: int, n: int, side: str) -> Array:
    """For each query row, where its segment starts ("first") or ends in the ids [.., N]; see the recipes below."""
    aligned = bool(options[0]) if options else True

    def row(ids: Array) -> Array:
        most = max(len(ids) - 1, 0)
        wanted = ids[np.clip(np.arange(m) + ((n - m) if aligned else 0), 0, most)]
        keys = ids[np.clip(np.arange(n), 0, most)]
        if n and np.all(keys[1:] >= keys[:-1]):
            return np.searchsorted(keys, wanted, side="left" if side == "first" else "right").astype(np.int32)
        return np.full(m, n if side == "last" else 0, np.int32)

    return _each_row(arrays[0], row)


def segment_first(arrays: Sequence[Array], options: Sequence[int], m: int, n: int) -> Array:
    """ids [.., N] -> int32 [.., M]: the first key of the row's segment; 0 where the ids are not sorted."""
    return _segment(arrays, options, m, n, "first")


def segment_last(arrays: Sequence[Array], options: Sequence[int], m: int, n: int) -> Array:
    """ids [.., N] -> int32 [.., M]: one past the last key of the row's segment; N where the ids are not sorted."""
    return _segment(arrays, options, m, n, "last")


def segment_last_exact(arrays: Sequence[Array], options: Sequence[int], m: int, n: int) -> Array:
    """`segment_last`, but 0 where the ids are not sorted: first <= kv < last_exact holds equal ids alone."""
    return _segment(arrays, options, m, n, "exact")


RECIPES: dict[str, Recipe] = {
    "segment_ids": segment_ids,
    "index_flags": index_flags,
    "tree_ancestors": tree_ancestors,
    "segment_first": segment_first,
    "segment_last": segment_last,
    "segment_last_exact": segment_last_exact,
}


def derive(ref: TensorRef, arrays: Mapping[TensorRef, Array], m: int, n: int) -> Array:
    """The array of a tensor: given in ``arrays``, or derived from what is given, sources of sources included."""
    if ref in arrays:
        return arrays[ref]
    if ref.derived is None:
        raise KeyError(f"no array is given for `{ref.name}`")
    sources = [derive(source, arrays, m, n) for source in ref.derived.sources]
    return RECIPES[ref.derived.recipe](sources, ref.derived.options, m, n)
