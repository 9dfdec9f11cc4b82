"""What a plan for a GPU costs at one length, limit by limit, at the tiles that it really visits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attngen.planner.choose import WorkOf
from attngen.planner.cost import estimate_cost, every_tile, guess_work
from attngen.planner.feasibility import judge
from attngen.planner.floors import floors_us
from attngen.planner.overrides import GPU_CHOICES
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.targets.target import Target


@dataclass(frozen=True, slots=True)
class Price:
    """One plan: what a person can choose of it, what it holds, the tiles it visits, its predicted time.

    ``registers`` is the estimate for a thread, not cut off at the limit. ``share``: visited tiles of all tiles.
    ``cycles``: a multiprocessor's for one unmasked key tile, all pipes together. ``floors_us``: what the call
    would take at least if one pipe, or DRAM, were all that it needs. ``reasons``: why it would not be chosen unasked.
    """

    choices: Mapping[str, int]
    overlap: bool
    registers: int
    shared_bytes: int
    occupancy: int
    blocks: int
    tiles: int
    tiles_masked: int
    share: float
    cycles: float
    floors_us: Mapping[str, float]
    us: float
    limit: str
    reasons: tuple[str, ...] = ()


def choices_of(plan: Plan) -> dict[str, int]:
    """What a person could fix of a plan."""
    return {name: int(getattr(plan, name)) for name in GPU_CHOICES}


def price_of(plan: Plan, problem: Problem, target: Target, count: WorkOf) -> Price:
    """``count`` counts the tiles that the blocks of a plan visit."""
    candidate = plan.candidate
    work = count(candidate) or guess_work(candidate, problem)
    verdict = judge(candidate, problem, target)
    cost = estimate_cost(candidate, problem, target, verdict.usage, work)
    full, masked = (int(sum(tiles)) * work.times for tiles in (work.full, work.masked))
    every = every_tile(candidate, problem)
    return Price(
        choices=choices_of(plan),
        overlap=plan.overlap,
        registers=verdict.usage.registers,
        shared_bytes=plan.shared_bytes,
        occupancy=plan.occupancy,
        blocks=work.blocks,
        tiles=full + masked,
        tiles_masked=masked,
        share=(full + masked) / max(1.0, sum(every.full) * every.times),
        cycles=cost.tile,
        floors_us=dict(floors_us(candidate, problem, target, work)),
        us=cost.us,
        limit=cost.limit,
        reasons=verdict.reasons,
    )
