"""How much a sweep may do: by counts, and by the clock."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.errors import SpecError, did_you_mean


@dataclass(frozen=True, slots=True)
class Effort:
    """``most`` configurations, ``batch`` of them beside each other, each at most ``rounds`` times; then ``finalists``
    of them, ``final_rounds`` times. A turn calls the kernel for ``least_s`` seconds; nothing new is begun after
    ``budget_s``. ``tries``: batches that improve nothing until the search ends. ``learn``: with a surrogate.
    """

    name: str
    most: int
    batch: int
    rounds: int
    finalists: int
    final_rounds: int
    least_s: float
    budget_s: float
    tries: int
    learn: bool


EFFORTS = {
    one.name: one
    for one in (
        Effort("quick", 16, 5, 3, 3, 5, 0.02, 16.0, 2, learn=False),
        Effort("full", 160, 8, 5, 5, 11, 0.1, 600.0, 4, learn=True),
    )
}


def effort_of(name: str) -> Effort:
    """SpecError for an unknown name."""
    if name not in EFFORTS:
        raise SpecError(f"`{name}` is no effort", place="effort", remedy=did_you_mean(str(name), EFFORTS))
    return EFFORTS[name]
