"""The constants of the cost model that are fitted to published timings (`make fit` writes fitted.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Constants:
    """Times in cycles of a multiprocessor; `docs/cost-model.md` has the formulas.

    ``overlap``: exponent of the norm that puts the pipes together, 1 for one after another and more
    the better they hide each other, for synchronous (mma) and asynchronous products (wgmma, tcgen05)
    and for backward loops. ``softmax_serial``: share of the shorter of exponentials and other
    instructions that the longer does not hide. ``wait_backward``: more at the barriers of a backward tile.
    ``prologue``: way in and out of a block. ``backward_slots``: instructions a score of a backward tile.
    """

    overlap: float
    overlap_async: float
    overlap_backward: float
    softmax_serial: float
    wait_backward: float
    prologue: float
    backward_slots: float
    backward_slots_triton: float
    host_us: float
    """Least time of a call as Triton's tutorial measures it: of the measurement, no part of a prediction."""


@lru_cache(maxsize=1)
def fitted() -> Constants:
    """The constants of fitted.toml."""
    text = resources.files("attngen.planner").joinpath("fitted.toml").read_text(encoding="utf-8")
    return Constants(**tomllib.loads(text)["constants"])
