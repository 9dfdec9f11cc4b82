"""One variant at one length on several devices, each with the plan that it would get there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attngen import pipeline
from attngen.errors import PlanError
from attngen.explanation.cost import Cost
from attngen.explanation.cpu import explain_cpu
from attngen.explanation.gpu import cost_at
from attngen.explanation.price import choices_of
from attngen.explanation.text import table, time_text
from attngen.planner.cpu import CpuPlan
from attngen.planner.overrides import CPU_CHOICES
from attngen.planner.plan import Plan
from attngen.sample import Arguments
from attngen.targets.cpu import find_cpu
from attngen.targets.load import find_target

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec


@dataclass(frozen=True, slots=True)
class Side:
    """What one device makes of a variant. ``tflops`` counts the products of visited tiles, a CPU's are of one core.

    ``choices``: the fields of its plan that a person could fix; empty where nothing fits, and ``refusal`` says why.
    """

    target: str
    arch: str
    plan: str = ""
    choices: Mapping[str, int] | None = None
    us: float = 0.0
    limit: str = ""
    tflops: float = 0.0
    refusal: tuple[str, ...] = ()


def side_on(
    spec: AttentionSpec, name: str, dtype: str | None, length: int, given: dict[str, int | float], drawn: Arguments
) -> Side:
    """The device called ``name``, at ``length`` queries and keys. TargetError where nothing is called so."""
    cpu = find_cpu(name)
    device = cpu or find_target(name)
    try:
        made = pipeline.generate(spec, name, dtype=dtype, seqlen=length)
    except PlanError as error:
        return Side(device.name, device.arch, refusal=tuple(line.strip() for line in error.what.splitlines()))
    if cpu is not None:
        return side_of(made.plan, explain_cpu(spec, made, cpu, length, given, None, False).costs[-1])
    problem = pipeline.problem_of(spec, dtype, length, length)
    return side_of(made.plan, cost_at(spec, problem, find_target(name), made.gpu_plan, length, drawn))


def side_of(plan: Plan | CpuPlan, cost: Cost) -> Side:
    if isinstance(plan, CpuPlan):
        choices, words = {name: int(getattr(plan, name)) for name in CPU_CHOICES}, f"{plan.block_m}x{plan.block_n}"
    else:
        choices, words = choices_of(plan), str(plan.candidate)
    tflops = cost.flops / max(cost.us, 1e-9) * 1e-6
    return Side(plan.target, plan.arch, words, choices, cost.us, cost.limit, tflops)


def against_lines(sides: Sequence[Side], length: int) -> Iterator[str]:
    yield f"Devices side by side (predicted at {length:,} tokens; FLOPs of visited tiles; a CPU is one core of it)"
    fit = [side for side in sides if side.choices is not None]
    rows = [
        (one.target, one.plan, time_text(one.us), f"x {one.us / fit[0].us:.2f}", f"{one.tflops:.3g}", one.limit)
        for one in fit
    ]
    yield from table(("device", "plan", "time", "beside the first", "TFLOP/s", "limit"), rows)
    for side in sides:
        yield from (f"  {line}" for line in side.refusal)
