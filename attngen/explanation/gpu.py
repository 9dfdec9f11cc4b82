"""What a variant costs on a GPU, beside full attention; its plan and the plan's rivals. All of it predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from attngen import pipeline
from attngen.explanation.cost import Cost, Explanation, counted, lengths_up_to, made_up
from attngen.explanation.text import head, plan_lines, table, time_text
from attngen.pipeline import Generated
from attngen.planner.choose import choose_plan, rank_plans
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.targets.target import Target

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec

RIVALS = 5


def explain_gpu(
    spec: AttentionSpec, made: Generated, device: Target, dtype: str | None, seqlen: int, given: dict[str, int | float]
) -> Explanation:
    plan = made.gpu_plan
    problem = pipeline.problem_of(spec, dtype, seqlen, seqlen)
    costs = tuple(_cost(spec, problem, device, plan, length, given) for length in lengths_up_to(seqlen))
    ranked = rank_plans(_with_tiles(problem, costs[-1]), device)
    rivals = tuple(rival for rival in ranked if _fields(rival) != _fields(plan))[:RIVALS]
    known = Explanation(
        "", spec.name, device.name, plan.dtype, seqlen, None, costs, plan, rivals, made_up(spec, given)
    )  # fmt: skip
    return replace(known, text="\n".join(_lines(spec, device, known)))


def _fields(plan: Plan) -> dict[str, int]:
    """What a person could fix of a plan."""
    names = ("block_m", "block_n", "num_warps", "num_stages", "pack", "descriptors")
    return {name: int(getattr(plan, name)) for name in names}


def _cost(
    spec: AttentionSpec,
    problem: Problem,
    target: Target,
    plan: Plan,
    length: int,
    params: Mapping[str, int | float],
) -> Cost:
    cost = counted(spec, plan, length, params, problem.element_bytes)
    fixed = _fields(plan)
    here = choose_plan(_with_tiles(problem, cost), target, fixed)
    everything = replace(cost, tiles=cost.tiles_of_full_attention, tiles_masked=0)
    full = choose_plan(_with_tiles(problem, everything), target, fixed)
    return replace(cost, us=here.predicted_us, limit=here.limit, us_of_full_attention=full.predicted_us)


def _with_tiles(problem: Problem, cost: Cost) -> Problem:
    """The problem at a length, with the tiles that there really are."""
    return replace(
        problem,
        seqlen_q=cost.seqlen,
        seqlen_kv=cost.seqlen,
        kept=cost.share,
        partial=cost.tiles_masked / max(1, cost.tiles),
    )


def _lines(spec: AttentionSpec, target: Target, known: Explanation) -> Iterator[str]:
    yield from head(spec, known.dtype, target.name, target.arch)
    yield "Cost by length (batch 1, predicted; in brackets what full attention would take)"
    yield from table(
        ("length", "tiles visited", "of all", "masked", "TFLOP", "MB", "time", "limit"),
        [
            (
                f"{cost.seqlen:,}",
                f"{cost.tiles:,} ({cost.tiles_of_full_attention:,})",
                f"{100 * cost.share:.1f} %",
                f"{100 * cost.tiles_masked / max(1, cost.tiles):.1f} %",
                f"{cost.flops / 1e12:.3g} ({cost.flops_of_full_attention / 1e12:.3g})",
                f"{cost.bytes / 1e6:.1f}",
                f"{time_text(cost.us)} ({time_text(cost.us_of_full_attention)})",
                cost.limit,
            )
            for cost in known.costs
        ],
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
            [_rival(rival) for rival in known.rivals],
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
