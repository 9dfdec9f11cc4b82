"""What a variant costs on a GPU, beside full attention; its plan and the plan's rivals. All of it predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from attngen import pipeline
from attngen.explanation.cost import Cost, Explanation, counted, drawn_at, made_up
from attngen.explanation.lengths import growth
from attngen.explanation.price import Price, choices_of, price_of
from attngen.explanation.text import counts_heading, counts_row, head, plan_lines, table, time_text
from attngen.explanation.why import why_gpu
from attngen.pipeline import Generated
from attngen.planner.choose import choose_plan
from attngen.planner.cost import every_tile
from attngen.planner.counted import counted as work_of
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.planner.ranked import known as known_work
from attngen.planner.ranked import rank_counted
from attngen.sample import Arguments
from attngen.targets.target import Target

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec

RIVALS = 5


def explain_gpu(
    spec: AttentionSpec,
    made: Generated,
    device: Target,
    dtype: str | None,
    lengths: tuple[int, ...],
    given: dict[str, int | float],
    asked: Mapping[str, int] | None,
    *,
    grows: bool,
) -> Explanation:
    """``made`` at the longest of ``lengths``. ``asked``: a plan to compare with. ``grows``: say how times grow."""
    plan, seqlen = made.gpu_plan, lengths[-1]
    problem = pipeline.problem_of(spec, dtype, seqlen, seqlen)
    drawn = {length: drawn_at(spec, length, given) for length in lengths}
    costs = tuple(cost_at(spec, problem, device, plan, *of_length) for of_length in drawn.items())
    count = work_of(spec, seqlen, drawn[seqlen].params, drawn[seqlen].tensors)
    guessed = problem.masked and known_work(spec, problem) is None
    others = (rival for rival in rank_counted(problem, device, count) if choices_of(rival) != choices_of(plan))
    rivals = tuple(others)[:RIVALS]
    chosen, *prices = (price_of(one, problem, device, count) for one in (plan, *rivals))
    known = Explanation(
        "", spec.name, device.name, plan.dtype, seqlen, None, costs, plan, rivals, made_up(spec, given),
        ranked=tuple(sorted((chosen, *prices), key=lambda price: round(price.us, 3))),
        why=None if asked is None else why_gpu(asked, chosen, problem, device, count, guessed=guessed),
    )  # fmt: skip
    return replace(known, text="\n".join(_lines(spec, device, known, chosen, grows)))


def cost_at(spec: AttentionSpec, problem: Problem, target: Target, plan: Plan, length: int, drawn: Arguments) -> Cost:
    """The cost of ``plan`` at ``length``, with the values of ``drawn``."""
    cost = counted(spec, plan, length, drawn, problem.element_bytes)
    fixed, sized = choices_of(plan), replace(problem, seqlen_q=length, seqlen_kv=length)
    here = choose_plan(sized, target, fixed, work_of(spec, length, drawn.params, drawn.tensors))
    full = choose_plan(sized, target, fixed, lambda candidate: every_tile(candidate, sized))
    return replace(cost, us=here.predicted_us, limit=here.limit, us_of_full_attention=full.predicted_us)


def _lines(spec: AttentionSpec, target: Target, known: Explanation, chosen: Price, grows: bool) -> Iterator[str]:
    yield from head(spec, known.dtype, target.name, target.arch)
    yield "Cost by length (batch 1, predicted; in brackets what full attention would take)"
    rows = [(*counts_row(cost, 1e12), cost.limit) for cost in known.costs]
    heading = (*counts_heading("TFLOP"), "limit")
    if grows:
        rows = [(*row, grown) for row, grown in zip(rows, growth(known.costs), strict=True)]
        heading = (*heading, "time grows")
    yield from table(heading, rows)
    if known.sampled:
        yield f"  made-up values: {', '.join(known.sampled)}"
    yield ""
    assert known.plan is not None
    yield from plan_lines(known.plan)
    yield ""
    yield f"Plans at {known.seqlen:,} tokens, best first (* chosen); and what each limit alone would take, in us"
    limits = tuple(chosen.floors_us)
    yield from table(
        ("", "tile", "warps", "stages", "loads", "registers", "KiB", "blocks", "time", *limits, "limit"),
        [_row(price, price is chosen) for price in known.ranked],
    )


def _row(price: Price, is_chosen: bool) -> tuple[str, ...]:
    choices = price.choices
    return (
        "*" if is_chosen else "",
        f"{choices['block_m']} x {choices['block_n']}",
        str(choices["num_warps"]),
        str(choices["num_stages"]),
        "descriptors" if choices["descriptors"] else "pointers",
        str(price.registers),
        f"{price.shared_bytes / 1024:.0f}",
        str(price.occupancy),
        time_text(price.us),
        *(f"{us:,.0f}" if us >= 100 else f"{us:.1f}" for us in price.floors_us.values()),
        price.limit,
    )
