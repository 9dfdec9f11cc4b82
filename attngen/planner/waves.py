"""Which multiprocessor works through which tiles: list scheduling of the blocks of one launch."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

_SIMULATED_WAVES = 12
"""Blocks before the last so many waves keep every slot busy, whatever their order; only the end is uneven."""


@dataclass(frozen=True, slots=True)
class Work:
    """Tiles of each block, in the order of launch: those without a mask, and those with.

    The blocks of the two tuples are launched ``times`` over (for each head, say). ``exact``: counted
    on the schedule, not guessed.
    """

    full: tuple[float, ...]
    masked: tuple[float, ...]
    times: int = 1
    exact: bool = True

    @property
    def blocks(self) -> int:
        return len(self.full) * self.times


def rectangle(rows: int, columns: int, times: int) -> Work:
    """Every block of ``rows`` visits all ``columns`` tiles, none of them masked."""
    return Work((float(columns),) * rows, (0.0,) * rows, times)


def makespan(durations: Sequence[float], times: int, slots: int) -> float:
    """When the last of ``times`` x ``durations`` ends, if each block in turn goes to the slot that is free first."""
    longest, count = max(durations), len(durations) * times
    if count <= slots:
        return longest
    if min(durations) == longest:
        return -(-count // slots) * longest
    simulated = min(times, -(-_SIMULATED_WAVES * slots // len(durations)))
    free = [sum(durations) * (times - simulated) / slots] * slots
    for _ in range(simulated):
        for duration in durations:
            heapq.heapreplace(free, free[0] + duration)
    return max(free)


def least_span(durations: Sequence[float], times: int, slots: int) -> float:
    """What no order can beat: all slots busy to the end, and never less than the longest block."""
    return max(max(durations), sum(durations) * times / slots)
