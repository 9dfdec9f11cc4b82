"""What a sweep says while it runs, and when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from attngen.errors import AttngenError


class TuneError(AttngenError):
    """A sweep that cannot go on: the untuned plan itself fails, or the executor loses every job."""


@dataclass(frozen=True, slots=True)
class Progress:
    """``phase``: "compile", "screen" or "final". ``done`` of ``expected`` turns are there, read ones included.

    ``best`` and ``ratio``: the best plan so far, and how many times faster than the untuned one it is. ``left_s``:
    seconds until the budget is spent.
    """

    shape: str
    phase: str
    done: int
    expected: int
    best: Mapping[str, int]
    ratio: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of one shape.

    ``best``: the chosen fields of the plan to take; those of ``untuned`` unless another one is faster beyond noise.
    ``ratio``: the untuned plan's time over the best one's, measured anew in the final rounds; ``noise``: half the
    middle half of that ratio's rounds. ``measured`` turns were made by this call, ``reused`` ones read from the
    store. ``failures``: plan and reason. ``decided`` is false where the budget was spent before the final rounds, or
    Ctrl-C came first (``interrupted``): ``best`` is then what looked best so far, and the next call goes on from here.
    """

    shape: str
    best: Mapping[str, int]
    untuned: Mapping[str, int]
    ratio: float
    noise: float
    measured: int
    reused: int
    failed: int
    tried: int
    space: int
    seconds: float
    kind: str = "timed"
    failures: tuple[tuple[Mapping[str, int], str], ...] = ()
    interrupted: bool = False
    decided: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A result a shape, in the order of the shapes. ``store``: the file that the rows are in."""

    results: tuple[Result, ...]
    store: str = ""

    @property
    def interrupted(self) -> bool:
        return any(one.interrupted for one in self.results)

    def to_json(self) -> dict[str, Any]:
        """``best`` is that of the last shape; counts and seconds are sums; ``results`` has each shape."""
        return {
            "best": dict(self.results[-1].best) if self.results else {},
            "measured": sum(one.measured for one in self.results),
            "reused": sum(one.reused for one in self.results),
            "failed": sum(one.failed for one in self.results),
            "space": sum(one.space for one in self.results),
            "seconds": round(sum(one.seconds for one in self.results), 2),
            "interrupted": self.interrupted,
            "store": self.store,
            "results": [_record(one) for one in self.results],
        }


def _record(one: Result) -> dict[str, Any]:
    failures = [{"plan": dict(plan), "reason": reason} for plan, reason in one.failures]
    return {**asdict(one), "best": dict(one.best), "untuned": dict(one.untuned), "failures": failures}
