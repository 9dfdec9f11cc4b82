"""How precisely the loops over keys begin and end."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from attngen.expr.op import Expr, Param
from attngen.expr.simplify import simplify
from attngen.planner.cpu.plan import CpuPlan
from attngen.tiling.build import build_schedule
from attngen.tiling.schedule import Schedule


def grain_of(micro_n: int, block_n: int) -> int:
    """Keys that a loop begins and ends at multiples of: a micro-tile, or two where that is odd; else a whole tile.

    For masks whose tiles come in runs. Where they do not, short tiles would be all that there is.
    """
    step = micro_n if micro_n % 2 == 0 else 2 * micro_n
    return step if block_n % step == 0 else block_n


@lru_cache(maxsize=256)
def in_runs(mask: Expr, params: tuple[Param, ...], rows: int, keys: int) -> bool:
    """Whether the tiles of this size that a mask keeps follow each other."""
    return has_runs(build_schedule(simplify(mask), q_tile=rows, kv_tile=keys, params=params))


def has_runs(schedule: Schedule) -> bool:
    """Whether all loops of a schedule take one tile after the other."""
    steps = {interval.step for sweep in schedule.sweeps for interval in sweep.intervals}
    return not schedule.tile_list and steps <= {1}


def whole_tiles(plan: CpuPlan) -> CpuPlan:
    """The plan for scattered keys."""
    return replace(plan, grain=plan.block_n, q_tiles=1)
