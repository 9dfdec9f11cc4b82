"""How wrong a kernel may be: no more than a small factor times plain PyTorch in the same dtype.

    error(kernel) <= FACTORS[dtype] * error(plain PyTorch) + rounding noise

for out and lse, as the largest error and as the root mean square, both against the float64 oracle.
The noise covers what plain PyTorch may avoid by luck: rounding the output once, and the error that
rounding a score in fp32 makes in its exponential. A tolerance is never widened for one test: a case
that fails belongs into the kernel's bug list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FACTORS = {"fp64": 2.0, "fp32": 2.0, "fp16": 2.0, "bf16": 2.0}
EPS = {"fp64": 2.0**-52, "fp32": 2.0**-23, "fp16": 2.0**-10, "bf16": 2.0**-7}
SCORE_ROUNDINGS = 8
"""Roundings of a score on its way, in fp32 (fp64 for fp64): scale, score steps, log2(e), the subtraction of the row
maximum. What the sum of the product itself loses is added for each element, see `attngen.checking.check`."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Error:
    """Against the oracle, over the elements where it is finite."""

    largest: float
    rms: float
    where: tuple[int, ...] = ()

    @classmethod
    def of(cls, got: Array, exact: Array) -> Error:
        finite = np.isfinite(exact)
        off = np.where(finite, np.abs(got - np.where(finite, exact, 0.0)), 0.0)
        if off.size == 0:
            return cls(0.0, 0.0)
        where = np.unravel_index(int(np.argmax(np.where(np.isnan(off), np.inf, off))), off.shape)
        return cls(float(off[where]), float(np.sqrt(np.mean(off**2))), tuple(int(i) for i in where))


def numpy64(x: Any) -> Array:
    """A tensor or an array. torch is not imported here: a process that only judges does without."""
    return x.detach().double().cpu().numpy() if hasattr(x, "detach") else np.asarray(x, dtype=np.float64)


def compare(what: str, got: Any, exact: Any, plain: Any, dtype: str, noise: float, noise_rms: float) -> list[str]:
    """What is wrong with ``got``, one line each; nothing when it is as good as the policy asks."""
    got, exact, plain = numpy64(got), numpy64(exact), numpy64(plain)
    if got.shape != exact.shape:
        return [f"{what}: shape {got.shape}, expected {exact.shape}"]
    wrong = []
    for name, test in (("NaN", np.isnan), ("-inf", np.isneginf), ("+inf", np.isposinf)):
        differ = test(got) != test(exact)
        if differ.any():
            where = tuple(int(i) for i in np.argwhere(differ)[0])
            wrong.append(
                f"{what}: {name} at {int(differ.sum())} places, first {where}: {got[where]} for {exact[where]}"
            )
    if wrong:
        return wrong
    mine, theirs = Error.of(got, exact), Error.of(plain, exact)
    factor = FACTORS[dtype]
    for name, error, yardstick, floor in (
        ("largest error", mine.largest, theirs.largest, noise),
        ("rms error", mine.rms, theirs.rms, noise_rms),
    ):
        allowed = factor * yardstick + floor
        if not error <= allowed:
            at = mine.where
            wrong.append(
                f"{what}: {name} {error:.3e} > {factor} * {yardstick:.3e} (plain {dtype}) + {floor:.3e}; "
                f"at {at}: {got[at]:.6g} for {exact[at]:.6g}, plain {plain[at]:.6g}"
            )
    return wrong


def agree(what: str, got: Array, other: Array, allowed: float, allowed_rms: float) -> list[str]:
    """What is wrong with ``got`` beside another kernel's result: each may be off by what is allowed, so twice that."""
    if not (np.isnan(got) == np.isnan(other)).all() or not (np.isinf(got) == np.isinf(other)).all():
        return [f"{what}: NaN or infinity where another plan has none, or the other way round"]
    same = got == other  # infinities equal themselves
    with np.errstate(invalid="ignore"):
        off = np.where(same | np.isnan(got), 0.0, np.abs(got - other))
    largest, rms = float(off.max(initial=0.0)), _rms(off)
    pairs = (("largest difference", largest, 2 * allowed), ("rms difference", rms, 2 * allowed_rms))
    return [
        f"{what}: {name} {value:.3e} to another plan > {most:.3e}" for name, value, most in pairs if not value <= most
    ]


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2))) if x.size else 0.0


def noises(exact_out: Array, v: Array, in_scores: float, dtype: str) -> tuple[float, float, float]:
    """(out largest, out rms, lse) of rounding noise; ``in_scores``: how far rounding may move a score."""
    top = float(np.abs(exact_out).max(initial=0.0))
    return (
        EPS[dtype] / 2 * top + in_scores * float(np.abs(v).max(initial=0.0)),
        EPS[dtype] / 2 * _rms(exact_out) + in_scores * _rms(v),
        in_scores,
    )
