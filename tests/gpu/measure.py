"""How it is timed: interleaved rounds between events, the L2 cache emptied before each call, medians of all rounds.

A rival that does not compute the same is not timed: the row says so, and the run fails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any

import torch

from attngen.checking.check import problems
from attngen.checking.inputs import build
from tests.gpu.device import Gpu
from tests.gpu.rivals import OURS, Entry, entries
from tests.gpu.workloads import WINDOW, Workload

ROUNDS = 30
WARM_UP = 5
AGREE = 2.0**-5
"""Two results of one problem in 16 bits, relative to the largest value: other masks differ by much more."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles; NaN when nothing was measured."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) < 2 or any(math.isnan(value) for value in values):
            return cls(math.nan, math.nan, math.nan)
        return cls(*quantiles(values, n=4, method="inclusive"))

    @property
    def measured(self) -> bool:
        return not math.isnan(self.median)


@dataclass(frozen=True)
class Timing:
    """One rival on one workload. ``ratio``: its time over attngen's in the same round; above 1 attngen is faster."""

    name: str
    ms: Spread | None
    ratio: Spread | None
    note: str = ""


@dataclass(frozen=True)
class Result:
    """A row of the table. ``wrong``: why nothing was timed."""

    work: Workload
    plan: dict[str, Any]
    timings: list[Timing] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def measure(work: Workload, device: Gpu, checked: set[Any], rounds: int = ROUNDS) -> Result:
    """Check attngen against the oracle on a small call and everyone against attngen on this one, then time them.

    ``checked`` remembers which kernels have been compared with the oracle.
    """
    attention, everyone = entries(work, device)
    kernel = (work.variant.name, work.heads, work.dim, work.dtype)
    wrong = [] if kernel in checked else small_call_is_right(work, attention, device)
    checked.add(kernel)
    ready, timings = agreeing(everyone, device, wrong)
    plan = plan_of(attention, work)
    if wrong:
        checked.discard(kernel)
        return Result(work, plan, wrong=wrong)
    times = interleaved(ready, device, rounds)
    for entry in everyone:
        if entry.name in times:
            ratio = [theirs / ours for theirs, ours in zip(times[entry.name], times[OURS], strict=True)]
            timings[entry.name] = Timing(entry.name, Spread.of(times[entry.name]), Spread.of(ratio), entry.note)
    return Result(work, plan, [timings[entry.name] for entry in everyone])


def small_call_is_right(work: Workload, attention: Any, device: Gpu) -> list[str]:
    """The variant against the oracle at lengths that the oracle can do, and that the window does not cover."""
    n = min(work.n, WINDOW + 376)
    case = build(attention.spec, 1, 1 if work.variant.decode else 257, n, work.dtype)
    try:
        device.verdict(problems(attention.spec, attention, case, device=device.where))
    except AssertionError as error:
        return [f"against the oracle: {error}"]
    return []


def agreeing(everyone: Sequence[Entry], device: Gpu, wrong: list[str]) -> tuple[list[Entry], dict[str, Timing]]:
    """Those that can be called and say the same; a note for each of the others. Differences go to ``wrong``."""
    ready, timings, ours = [], dict[str, Timing](), None
    for entry in everyone:
        if entry.call is None:
            timings[entry.name] = Timing(entry.name, None, None, entry.note)
            continue
        try:
            out = entry.restore(entry.call())
            device.synchronize()
        except Exception as error:  # a rival that does not run is a note in the table; attngen itself must
            if entry.name == OURS:
                raise
            reason = str(error).strip().splitlines() or ["no message"]
            timings[entry.name] = Timing(entry.name, None, None, f"{type(error).__name__}: {reason[0][:80]}")
            continue
        if ours is None:
            ours = out
        elif (off := difference(out, ours)) > AGREE and not device.dry:
            wrong.append(f"{entry.name} differs from {OURS} by {off:.3g} of the largest value")
        ready.append(entry)
    return ready, timings


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference over the largest value; infinite where shapes differ or something is NaN."""
    if one.shape != other.shape or bool(torch.isnan(one).any()) or bool(torch.isnan(other).any()):
        return math.inf
    return float((one.float() - other.float()).abs().max() / other.float().abs().max().clamp(min=1e-6))


def interleaved(ready: Sequence[Entry], device: Gpu, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round. Everyone runs in each round, in a rotating order, so a drifting clock hits all."""
    times: dict[str, list[float]] = {entry.name: [] for entry in ready}
    for i in range(WARM_UP + rounds):
        spans = []
        for j in range(len(ready)):
            entry = ready[(i + j) % len(ready)]
            begin, end = device.event(), device.event()
            device.flush()
            begin.record()
            assert entry.call is not None
            entry.call()
            end.record()
            spans.append((entry.name, begin, end))
        device.synchronize()
        if i >= WARM_UP:
            for name, begin, end in spans:
                times[name].append(begin.elapsed_time(end))
    return times


def plan_of(attention: Any, work: Workload) -> dict[str, Any]:
    """The plan that the call of the workload took."""
    decode = work.heads[0] != work.heads[1] and work.variant.decode
    loaded = next(one for request, one in attention.loaded.items() if request.decode == decode)
    plan = loaded.emitted.plan
    names = ("target", "block_m", "block_n", "pack", "num_warps", "num_stages", "descriptors", "overlap")
    return {name: getattr(plan, name) for name in names}
