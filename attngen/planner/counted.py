"""The tiles that the blocks of a kernel really visit, counted on the schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from attngen.expr.op import tensors as tensors_of
from attngen.language.spec import AttentionSpec
from attngen.planner.choose import WorkOf, rank_plans
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.planner.waves import Work
from attngen.targets.target import Target
from attngen.tiling.view import schedule

COUNTED_TILES = 5
"""Tile sizes whose real tiles are counted when plans are ranked: those that look best at a guess."""


class Tiles(Protocol):
    """What decides which tiles a kernel visits: plans and candidates for any target have it."""

    @property
    def block_m(self) -> int: ...
    @property
    def block_n(self) -> int: ...
    @property
    def pack(self) -> int: ...


def counted(
    spec: AttentionSpec, length: int, params: Mapping[str, int | float], tensors: Mapping[str, Any]
) -> Callable[[Tiles], Work]:
    """For ``length`` queries and keys, batch 1: each block's full and masked tiles, in the order of launch."""
    group = spec.definition.heads.group

    @cache
    def of_tile(rows: int, keys: int, packed: bool) -> Work:
        counts = schedule(spec, q_tile=rows, kv_tile=keys).row_counts(length, params=params, tensors=tensors)
        full, masked = tuple(counts.full.tolist()), tuple(counts.partial.tolist())
        if packed:
            return Work(full, masked, max(1, counts.times // group))
        # the emitted kernel launches the last rows of queries first: under a causal mask they take longest
        return Work(full[::-1], masked[::-1], counts.times)

    return lambda candidate: of_tile(candidate.block_m // candidate.pack, candidate.block_n, candidate.pack > 1)


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
