"""Least and greatest entry of a tensor over ranges of its indices: a pyramid of halved copies."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class RangeTable:
    """Answers for boxes of indices, on dimensions that are ``ranged``; the others have one index a box.

    Level k holds the extremes of blocks of 2**k entries along each ranged dimension. A range is
    answered from at most three blocks a dimension, so the answer may cover up to half a range more on
    each side: wide ranges are rounded up, single entries are exact. Memory is below 2.7 times the tensor.
    """

    def __init__(self, tensor: Array, ranged: tuple[bool, ...]) -> None:
        if 0 in tensor.shape:
            tensor = np.zeros([max(size, 1) for size in tensor.shape], tensor.dtype)
        self.shape = tensor.shape
        self.ranged = [dim for dim, wide in enumerate(ranged) if wide and tensor.shape[dim] > 1]
        low = high = tensor.astype(np.uint8) if tensor.dtype == np.bool_ else tensor
        lows, highs, strides = [low.ravel()], [high.ravel()], [_strides(low.shape)]
        while any(low.shape[dim] > 1 for dim in self.ranged):
            low, high = _unbounded_where_nan(low, -np.inf), _unbounded_where_nan(high, np.inf)
            for dim in self.ranged:
                low, high = _halved(np.minimum, low, dim), _halved(np.maximum, high, dim)
            lows.append(low.ravel())
            highs.append(high.ravel())
            strides.append(_strides(low.shape))
        self._low, self._high = np.concatenate(lows), np.concatenate(highs)
        self._base = np.cumsum([0] + [len(part) for part in lows[:-1]])
        self._strides = np.array(strides, np.int64)

    def query(self, spans: list[tuple[Array, Array]]) -> tuple[Array, Array]:
        """(least, greatest) of tensor[low..high, ...] for arrays of index spans, each clamped into the tensor."""
        clamped = [
            (np.clip(low, 0, size - 1), np.clip(high, 0, size - 1))
            for (low, high), size in zip(spans, self.shape, strict=True)
        ]
        shape = np.broadcast_shapes(*(end.shape for span in clamped for end in span))
        level = np.zeros(shape, np.int64)
        for dim in self.ranged:
            extent = clamped[dim][1] - clamped[dim][0] + 1
            level = np.maximum(level, np.ceil(np.log2(extent)).astype(np.int64) - 1)
        at = self._base[level] + sum(
            (self._strides[level, dim] * clamped[dim][0] for dim in range(len(clamped)) if dim not in self.ranged),
            np.zeros((), np.int64),
        )
        low = high = None
        several = np.zeros(shape, np.bool_)
        for steps in product(range(3), repeat=len(self.ranged)):
            place = at
            for dim, step in zip(self.ranged, steps, strict=True):
                first, last = clamped[dim][0] >> level, clamped[dim][1] >> level
                place = place + self._strides[level, dim] * np.minimum(first + step, last)
                several |= first != last
            low = self._low[place] if low is None else np.minimum(low, self._low[place])
            high = self._high[place] if high is None else np.maximum(high, self._high[place])
        assert low is not None
        assert high is not None
        if several.any():
            low = np.where(several, _unbounded_where_nan(low, -np.inf), low)
            high = np.where(several, _unbounded_where_nan(high, np.inf), high)
        return low, high


def _strides(shape: tuple[int, ...]) -> list[int]:
    out = [1] * len(shape)
    for dim in range(len(shape) - 2, -1, -1):
        out[dim] = out[dim + 1] * shape[dim + 1]
    return out


def _unbounded_where_nan(values: Array, bound: float) -> Array:
    return np.where(np.isnan(values), bound, values) if values.dtype.kind == "f" else values


def _halved(op: np.ufunc, values: Array, dim: int) -> Array:
    """Pairs along one dimension combined; an odd last entry stays."""
    size = values.shape[dim]
    first = np.take(values, np.arange(0, size, 2), axis=dim)
    second = np.take(values, np.minimum(np.arange(1, size + 1, 2), size - 1), axis=dim)
    out: Array = op(first, second)
    return out
