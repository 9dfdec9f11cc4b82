"""Timing of contenders beside each other, so that a loaded machine slows all of them alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each round, CPU time (of all threads of the process) and wall time."""

    cpu: tuple[float, ...]
    wall: tuple[float, ...]

    @property
    def cpu_ms(self) -> float:
        return 1e3 * statistics.median(self.cpu)

    @property
    def wall_ms(self) -> float:
        return 1e3 * statistics.median(self.wall)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Of two contenders, round by round: the median and the middle half of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, theirs: Sequence[float], ours: Sequence[float]) -> Ratio:
        each = [a / b for a, b in zip(theirs, ours, strict=True)]
        if len(each) < 4:
            return cls(statistics.median(each), min(each), max(each))
        low, middle, high = statistics.quantiles(each, n=4)
        return cls(middle, low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def interleaved(
    calls: Mapping[str, Call], rounds: int, least_s: float = 0.02, beside: Mapping[str, Call] | None = None
) -> dict[str, Times]:
    """Every call once a round, in rotating order; a quick one is repeated within its turn up to ``least_s``.

    ``beside``: what else is called right after a turn of that name, untimed.
    """
    repeats = {}
    for name, call in calls.items():
        call()
        start = time.process_time()
        call()
        repeats[name] = max(1, int(least_s / max(time.process_time() - start, 1e-6)))
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    wall: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            call, count = calls[name], repeats[name]
            begin, start = time.perf_counter(), time.process_time()
            for _ in range(count):
                call()
            cpu[name].append((time.process_time() - start) / count)
            wall[name].append((time.perf_counter() - begin) / count)
            if beside and name in beside:
                beside[name]()
    return {name: Times(tuple(cpu[name]), tuple(wall[name])) for name in calls}


def load() -> str:
    """The load average of a minute, and on how many processors."""
    return f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def geometric_mean(values: Sequence[float]) -> float:
    return statistics.geometric_mean(values) if values else float("nan")
