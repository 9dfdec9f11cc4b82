"""Fit the constants of the cost model to published timings, and say how it does on devices it has not seen.

`make fit` writes attngen/planner/fitted.toml, the constants of the fits that left a device out
(left_out.toml, beside this file), and the table of docs/cost-model.md. About two minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.planner.constants import Constants
from attngen.planner.cost import Span
from attngen.planner.waves import least_span, makespan
from tests.planner.published.kernels import Row, predicted_tflops

Array = npt.NDArray[Any]
START = Constants(
    overlap=1.5,
    overlap_async=1.2,
    overlap_backward=1.5,
    softmax_serial=0.35,
    wait_backward=300.0,
    prologue=3000.0,
    backward_slots=10.0,
    backward_slots_triton=15.0,
    host_us=80.0,
)
"""Where the fit begins, and what it stays near where nothing speaks against it."""
_TRUST = 0.43
"""How near: a factor of e away weighs as much as this many rows that are 10 % off."""
_SOFT = 0.1
"""Errors beyond this (10 %) count linearly, not squared: one odd source does not bend everything."""
_STEP = 0.02
_ROUNDS, _STEPS = 4, 5


def fit(given: Sequence[Row], start: Constants = START) -> Constants:
    """Gauss-Newton on logarithms, each group of rows (device, kernel, pass, width) with the weight of its root."""
    names = list(asdict(start))
    groups = Counter(map(_group, given))
    weight = np.array([groups[_group(row)] ** -0.5 for row in given])
    real = np.log([row.tflops for row in given])
    origin = np.log(list(asdict(start).values()))

    def residuals(point: Array, span: Span) -> Array:
        constants = Constants(**dict(zip(names, np.exp(point).tolist(), strict=True)))
        off = np.log([predicted_tflops(row, constants, span) for row in given]) - real
        soft = np.sign(off) * np.sqrt(2 * (np.sqrt(1 + (off / _SOFT) ** 2) - 1))
        return np.concatenate([weight * soft, (point - origin) * _TRUST])

    point, damping = origin.copy(), 1.0
    for _ in range(_ROUNDS):
        span = _remembering()
        now = residuals(point, span)
        for _ in range(_STEPS):
            slopes = np.stack(
                [(residuals(point + nudge, span) - now) / _STEP for nudge in _STEP * np.eye(len(names))], 1
            )
            normal = slopes.T @ slopes
            step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -slopes.T @ now).clip(-0.7, 0.7)
            then = residuals(point + step, span)
            if then @ then < now @ now:
                point, now, damping = point + step, then, max(damping / 4, 1e-3)
            else:
                damping *= 5
    return Constants(**{name: float(f"{value:.4g}") for name, value in zip(names, np.exp(point), strict=True)})


def _group(row: Row) -> tuple[str, str, str, int]:
    return row.device, row.kernel, row.passes, row.head_dim


def _remembering() -> Span:
    """A makespan that simulates each launch once, and then scales: how uneven it is hardly depends on the constants."""
    known: dict[tuple[int, int, int, bool], float] = {}

    def span(durations: Sequence[float], times: int, slots: int) -> float:
        least = least_span(durations, times, slots)
        key = (len(durations), times, slots, durations[0] < durations[-1])
        if min(durations) == max(durations):
            return makespan(durations, times, slots)
        if key not in known:
            known[key] = makespan(durations, times, slots) / least
        return known[key] * least

    return span


def left_out(given: Sequence[Row], name: Callable[[Row], str] = lambda row: row.device) -> dict[str, Constants]:
    """For each device (or whatever ``name`` gives) the fit to the rows of all others."""
    return {out: fit([row for row in given if name(row) != out]) for out in dict.fromkeys(map(name, given))}


def predictions(
    given: Iterable[Row],
    by_device: Mapping[str, Constants],
    otherwise: Constants,
    name: Callable[[Row], str] = lambda row: row.device,
) -> list[float]:
    """Each row by the fit that has not seen its device; devices without fitted rows by the whole fit."""
    return [predicted_tflops(row, by_device.get(name(row), otherwise)) for row in given]
