"""What a variant costs on a GPU, beside full attention; its plan and the plan's rivals. All of it predicted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from attngen import pipeline
from attngen.explanation.cost import Cost, Explanation, counted, drawn_at, lengths_up_to, made_up
from attngen.explanation.text import counts_heading, counts_row, head, plan_lines, table, time_text
from attngen.pipeline import Generated
from attngen.planner.choose import WorkOf, choose_plan, rank_plans
from attngen.planner.cost import every_tile
from attngen.planner.counted import counted as work_of
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.sample import Sample
from attngen.targets.target import Target

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec

RIVALS = 5
_COUNTED_TILES = 5
"""Tile sizes whose real tiles are counted for the rivals: those that look best at a guess."""


def explain_gpu(
    spec: AttentionSpec, made: Generated, device: Target, dtype: str | None, seqlen: int, given: dict[str, int | float]
) -> Explanation:
    plan = made.gpu_plan
    problem = pipeline.problem_of(spec, dtype, seqlen, seqlen)
    drawn = {length: drawn_at(spec, length, given) for length in lengths_up_to(seqlen)}
    costs = tuple(_cost(spec, problem, device, plan, *of_length) for of_length in drawn.items())
    ranked = _ranked(problem, device, work_of(spec, seqlen, drawn[seqlen].params, drawn[seqlen].tensors))
    rivals = tuple(rival for rival in ranked if _fields(rival) != _fields(plan))[:RIVALS]
    known = Explanation(
        "", spec.name, device.name, plan.dtype, seqlen, None, costs, plan, rivals, made_up(spec, given)
    )  # fmt: skip
    return replace(known, text="\n".join(_lines(spec, device, known)))


def _fields(plan: Plan) -> dict[str, int]:
    """What a person could fix of a plan."""
    names = ("block_m", "block_n", "num_warps", "num_stages", "pack", "descriptors")
    return {name: int(getattr(plan, name)) for name in names}


def _cost(spec: AttentionSpec, problem: Problem, target: Target, plan: Plan, length: int, drawn: Sample) -> Cost:
    cost = counted(spec, plan, length, drawn, problem.element_bytes)
    fixed, sized = _fields(plan), replace(problem, seqlen_q=length, seqlen_kv=length)
    here = choose_plan(sized, target, fixed, work_of(spec, length, drawn.params, drawn.tensors))
    full = choose_plan(sized, target, fixed, lambda candidate: every_tile(candidate, sized))
    return replace(cost, us=here.predicted_us, limit=here.limit, us_of_full_attention=full.predicted_us)


def _ranked(problem: Problem, target: Target, count: WorkOf) -> tuple[Plan, ...]:
    """The plans that look best, at the price of the tiles that they really visit."""
    guessed = rank_plans(problem, target)
    near = list(dict.fromkeys((plan.block_m, plan.block_n) for plan in guessed))[:_COUNTED_TILES]
    plans = rank_plans(problem, target, None, lambda c: count(c) if (c.block_m, c.block_n) in near else None)
    return tuple(plan for plan in plans if (plan.block_m, plan.block_n) in near)


def _lines(spec: AttentionSpec, target: Target, known: Explanation) -> Iterator[str]:
    yield from head(spec, known.dtype, target.name, target.arch)
    yield "Cost by length (batch 1, predicted; in brackets what full attention would take)"
    yield from table(
        (*counts_heading("TFLOP"), "limit"),
        [(*counts_row(cost, 1e12), cost.limit) for cost in known.costs],
    )
    if known.sampled:
        yield f"  made-up values: {', '.join(known.sampled)}"
    yield ""
    assert known.plan is not None
    yield from plan_lines(known.plan)
    if known.rivals:
        yield ""
        yield "Rivals"
        yield from table(
            ("tile", "warps", "stages", "loads", "registers", "shared KiB", "time", "limit"),
            [_rival(rival) for rival in known.rivals if isinstance(rival, Plan)],
        )


def _rival(plan: Plan) -> tuple[str, ...]:
    return (
        f"{plan.block_m} x {plan.block_n}",
        str(plan.num_warps),
        str(plan.num_stages),
        "descriptors" if plan.descriptors else "pointers",
        str(plan.registers),
        f"{plan.shared_bytes / 1024:.0f}",
        time_text(plan.predicted_us),
        plan.limit,
    )
