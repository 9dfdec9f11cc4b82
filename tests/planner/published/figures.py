"""How well predictions agree with published figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.planner.published.kernels import Row

Array = npt.NDArray[Any]
FEWEST = 4
"""Rows of a device below which an order within it says nothing."""


@dataclass(frozen=True)
class Figures:
    """``tau``: Kendall's tau-b over all rows; ``within``: its mean over devices; ``error``: median of |p / t - 1|."""

    count: int
    tau: float
    within: float
    error: float
    bias: float


def tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-b: agreeing less disagreeing pairs, over those that are tied in neither."""
    i, j = np.triu_indices(len(first), 1)
    x, y = (np.sign(np.asarray(values)[i] - np.asarray(values)[j]) for values in (first, second))
    ties = np.sqrt(float((x != 0).sum()) * float((y != 0).sum()))
    return float((x * y).sum() / ties) if ties else 0.0


def figures(rows: Sequence[Row], predicted: Sequence[float]) -> Figures:
    """Of rows and their predicted TFLOP/s."""
    real, said = np.array([row.tflops for row in rows]), np.array(predicted)
    names = np.array([row.device for row in rows])
    within = [
        tau(real[names == name], said[names == name]) for name in sorted(set(names)) if sum(names == name) >= FEWEST
    ]
    off = said / real - 1
    return Figures(
        len(rows),
        tau(real, said),
        float(np.mean(within)) if within else float("nan"),
        float(np.median(np.abs(off))),
        float(np.median(off)),
    )


def line(name: str, found: Figures) -> str:
    """A row of a Markdown table."""
    within = "" if np.isnan(found.within) else f"{found.within:.2f}"
    error, bias = f"{100 * found.error:.1f} %", f"{100 * found.bias:+.1f} %"
    return f"| {name} | {found.count} | {found.tau:.2f} | {within} | {error} | {bias} |"
