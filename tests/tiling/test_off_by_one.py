"""The brute-force check itself: a bound that is one tile off, on either side, is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from attngen.expr.build import const, make
from attngen.expr.op import Expr, Op
from attngen.tiling.build import build_schedule
from attngen.tiling.schedule import Interval, Schedule
from tests.tiling.cases import W, b, h, ids, judge, kv, pos, q, random_call, windows

MASKS = {
    "causal": kv <= pos,
    "causal, top left": kv <= q,
    "window": (kv <= pos) & (pos - kv < W),
    "sink or window": (kv <= pos) & ((pos - kv < 100) | (kv < 40)),
    "prefix": (kv < 90) | (kv <= pos),
    "documents": (ids(b, pos) == ids(b, kv)) & (kv <= pos),
    "windows of heads": (kv <= pos) & (pos - kv < windows(h)),
    "chunked": pos // 200 == kv // 200,
}


def _shifted(bound: Expr, by: int) -> Expr:
    return make(Op.ADD, bound, const(by))


def _mutants(schedule: Schedule) -> Iterator[tuple[str, Schedule]]:
    """Each interval with one bound moved one tile, so that it is wrong: shorter, or (full tiles) longer as well."""
    for s, sweep in enumerate(schedule.sweeps):
        for i, interval in enumerate(sweep.intervals):
            moves = {"lo + 1": (1, 0), "hi - 1": (0, -1)}
            if not sweep.masked:
                moves |= {"lo - 1": (-1, 0), "hi + 1": (0, 1)}
            for name, (low, high) in moves.items():
                moved = Interval(_shifted(interval.lo, low), _shifted(interval.hi, high), interval.step)
                intervals = (*sweep.intervals[:i], moved, *sweep.intervals[i + 1 :])
                sweeps = (*schedule.sweeps[:s], replace(sweep, intervals=intervals), *schedule.sweeps[s + 1 :])
                yield f"{'masked' if sweep.masked else 'full'} {i}: {name}", replace(schedule, sweeps=sweeps)


@pytest.mark.parametrize("name", MASKS)
def test_every_moved_bound_is_noticed(name: str) -> None:
    schedule = build_schedule(MASKS[name].expr, q_tile=64, kv_tile=32)
    assert schedule.sweeps
    rng = np.random.default_rng(0)
    calls = [random_call(rng, m, n) for m in (63, 200, 500) for n in (77, 500, 1000)]
    calls = [replace(call, params={**call.params, "W": 200}) for call in calls]
    assert not any(judge(schedule, call, 1, 2).unsound for call in calls)
    for text, mutant in _mutants(schedule):
        assert any(_noticed(mutant, call) for call in calls), f"{text} goes unnoticed"


def _noticed(mutant: Schedule, call: object) -> bool:
    try:
        return bool(judge(mutant, call, 1, 2).unsound)  # type: ignore[arg-type]
    except (AssertionError, IndexError):
        return True  # a sweep that leaves the tiles
