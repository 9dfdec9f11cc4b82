"""Plans for a length that is known, ranked by the tiles that the mask leaves there."""

from __future__ import annotations

from collections.abc import Mapping

from attngen.expr.op import tensors as tensors_of
from attngen.language.spec import AttentionSpec
from attngen.planner.choose import WorkOf, rank_plans
from attngen.planner.counted import counted
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.targets.target import Target

COUNTED_TILES = 5
"""Tile sizes whose real tiles are counted when plans are ranked: those that look best at a guess."""


def known(spec: AttentionSpec, problem: Problem) -> WorkOf | None:
    """Counts tiles where length and mask alone decide them: no parameter, no tensor of the call. Else None, a guess."""
    length, mask = problem.seqlen_q, spec.definition.mask
    if length is None or length != problem.seqlen_kv or problem.batch != 1 or not problem.masked:
        return None
    sources = [source for ref in tensors_of(mask) for source in (ref.derived.sources if ref.derived else (ref,))]
    if spec.definition.params or not all(source.captured for source in sources):
        return None
    return counted(spec, length, {}, {})


def rank_counted(
    problem: Problem, target: Target, count: WorkOf | None, fixed: Mapping[str, int] | None = None
) -> tuple[Plan, ...]:
    """The plans that look best at a guess, at the price of the tiles that they really visit; PlanError for none."""
    guessed = rank_plans(problem, target, fixed)
    if count is None:
        return guessed
    near = list(dict.fromkeys((plan.block_m, plan.block_n) for plan in guessed))[:COUNTED_TILES]
    plans = rank_plans(problem, target, fixed, lambda c: count(c) if (c.block_m, c.block_n) in near else None)
    return tuple(plan for plan in plans if (plan.block_m, plan.block_n) in near)
