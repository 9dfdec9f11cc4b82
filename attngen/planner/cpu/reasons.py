"""Why a CPU plan is as it is, a line each, for people."""

from __future__ import annotations

from collections.abc import Iterator

from attngen.planner.cpu.cost import CpuCost
from attngen.planner.cpu.feasibility import registers_used
from attngen.planner.cpu.plan import CpuPlan
from attngen.planner.problem import Problem
from attngen.targets.cpu import CpuTarget


def reasons(
    plan: CpuPlan, problem: Problem, target: CpuTarget, cost: CpuCost, lengths: tuple[int, ...]
) -> tuple[str, ...]:
    """``lengths``: those that the plan was ranked at."""
    lines = _decode(plan, target) if plan.decode else _forward(plan, problem, target, cost)
    return (*lines, *_lengths(problem, lengths))


def _decode(plan: CpuPlan, target: CpuTarget) -> Iterator[str]:
    ahead = f"asked for {plan.prefetch} rows ahead" if plan.prefetch else "read in sequence without prefetching"
    yield f"few queries: {plan.block_m} rows (queries of {plan.pack} heads) share each key, on {target.name}"
    yield f"keys in tiles of {plan.block_n} and splits of {plan.split_keys}, {ahead}"


def _forward(plan: CpuPlan, problem: Problem, target: CpuTarget, cost: CpuCost) -> Iterator[str]:
    width = problem.definition.head_dim
    tile = plan.block_m * (width.qk + width.v + plan.block_n) * plan.real_bytes
    products = "products of bf16 pairs" if plan.dot else "multiply-adds"
    yield f"tiles of {plan.block_m} x {plan.block_n} by {products} on {target.name}"
    yield (
        f"micro-tiles of {plan.micro_m} vectors of {plan.lanes} rows x {plan.micro_n} keys: "
        f"{registers_used(plan)} of {target.registers} vector registers"
    )
    yield (
        f"queries, scores and output of a tile: {tile // 1024} KiB (L1 {target.l1_bytes // 1024} KiB, "
        f"L2 {target.l2_bytes // 1024} KiB)"
    )
    if plan.q_tiles > 1:
        yield f"{plan.q_tiles} query tiles share each key tile; loops over keys end at multiples of {plan.grain}"
    slots = sum(part for _, part in cost.parts)
    shares = ", ".join(f"{name} {part / slots:.0%}" for name, part in cost.parts if part >= 0.005 * slots)
    yield f"a key tile takes the time of {slots:.0f} vector multiply-adds: {shares}"
    if plan.pack > 1:
        yield f"few queries: the {plan.pack} heads of a group are rows of one tile"


def _lengths(problem: Problem, lengths: tuple[int, ...]) -> Iterator[str]:
    if len(lengths) > 1:
        *some, last = (f"{length:,}" for length in lengths)
        yield f"lengths unknown: the best on the whole at {', '.join(some)} and {last} tokens"
    if problem.pinned:
        yield "sizes pinned by the spec are obeyed"
