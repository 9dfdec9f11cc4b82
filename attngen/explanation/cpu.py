"""What a variant costs on a core of a CPU, predicted or also measured here; its plan and the plan's rivals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from attngen import pipeline
from attngen.explanation.cost import Cost, Explanation, counted, drawn_at, lengths_up_to, made_up
from attngen.explanation.text import counts_heading, counts_row, head, plan_lines, table, time_text
from attngen.pipeline import Generated
from attngen.planner.counted import counted as work_of
from attngen.planner.cpu import CpuPlan, rank_cpu_plans
from attngen.planner.cpu.choose import priced
from attngen.planner.cpu.work import every_tile
from attngen.planner.overrides import CPU_CHOICES
from attngen.planner.problem import ELEMENT_BYTES
from attngen.runtime.native.probed import stored_rates
from attngen.sample import Arguments, Sizes, sample
from attngen.targets.cpu import CoreRates, CpuTarget, nominal_rates

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec
    from attngen.runtime.native.machine import Machine

RIVALS = 5
LONGEST_US = 3e6
"""Of one call that is measured; a longer one is measured at a shorter length."""
ROUNDS = 5


def explain_cpu(
    spec: AttentionSpec,
    made: Generated,
    cpu: CpuTarget,
    seqlen: int,
    given: dict[str, int | float],
    fixed: Mapping[str, int] | None,
    measure: bool,
) -> Explanation:
    plan = made.plan
    assert isinstance(plan, CpuPlan)
    machine = _probe(cpu) if measure else None
    rates = machine.rates if machine else stored_rates(cpu) or nominal_rates(cpu)
    drawn = drawn_at(spec, seqlen, given)
    costs = costs_at(spec, made, cpu, lengths_up_to(seqlen), given, rates)
    problem = pipeline.problem_of(spec, plan.dtype, seqlen, seqlen)
    guessed = [rival for rival in rank_cpu_plans(problem, cpu, rates=rates) if _fields(rival) != _fields(plan)]
    counts = work_of(spec, seqlen, drawn.params, drawn.tensors)
    rivals = priced(guessed[:RIVALS], problem, cpu, counts, rates)
    measured = _measured(spec, plan, costs, given, fixed, machine) if machine is not None else {}
    known = Explanation(
        "", spec.name, cpu.name, plan.dtype, seqlen, None, costs, plan, rivals, made_up(spec, given), measured
    )  # fmt: skip
    return replace(known, text="\n".join(_lines(spec, cpu, known, rates)))


def costs_at(
    spec: AttentionSpec,
    made: Generated,
    cpu: CpuTarget,
    lengths: Sequence[int],
    given: dict[str, int | float],
    rates: CoreRates | None = None,
) -> tuple[Cost, ...]:
    """The predicted costs of the plan that was ``made``. ``rates``: by default those of a probe, or nominal ones."""
    plan, rates = made.plan, rates or stored_rates(cpu) or nominal_rates(cpu)
    assert isinstance(plan, CpuPlan)
    return tuple(_cost(spec, cpu, plan, length, drawn_at(spec, length, given), rates) for length in lengths)


def _fields(plan: CpuPlan) -> dict[str, int]:
    """What a person could fix of a plan."""
    return {name: getattr(plan, name) for name in CPU_CHOICES}


def _cost(spec: AttentionSpec, cpu: CpuTarget, plan: CpuPlan, length: int, drawn: Arguments, rates: CoreRates) -> Cost:
    cost = counted(spec, plan, length, drawn, ELEMENT_BYTES[plan.dtype])
    problem = pipeline.problem_of(spec, plan.dtype, length, length)
    (here,) = priced([plan], problem, cpu, work_of(spec, length, drawn.params, drawn.tensors), rates)
    (full,) = priced([plan], problem, cpu, lambda plan: every_tile(plan, problem), rates)
    return replace(cost, us=here.predicted_us, limit=here.limit, us_of_full_attention=full.predicted_us)


def _probe(cpu: CpuTarget) -> Machine:
    from attngen.runtime.native.machine import measure

    return measure(cpu.arch)


def _measured(
    spec: AttentionSpec,
    plan: CpuPlan,
    costs: tuple[Cost, ...],
    given: dict[str, int | float],
    fixed: Mapping[str, int] | None,
    machine: Machine,
) -> dict[str, float]:
    """CPU time of one thread at the longest length that is quick enough, and its shares of what the machine can do."""
    cost = next((one for one in reversed(costs) if one.us <= LONGEST_US), costs[0])
    seconds = _seconds(spec, plan, cost.seqlen, given, fixed)
    gflops, gbps = cost.flops / seconds * 1e-9, cost.bytes / seconds * 1e-9
    peak = machine.peak(plan.dtype, plan.dot)
    return {
        "seqlen": cost.seqlen,
        "ms": seconds * 1e3,
        "gflops": gflops,
        "share_of_peak": gflops / peak,
        "gbps": gbps,
        "share_of_read": gbps / machine.read_gbps,
        "peak_gflops": peak,
        "read_gbps": machine.read_gbps,
    }


def _seconds(
    spec: AttentionSpec, plan: CpuPlan, length: int, given: dict[str, int | float], fixed: Mapping[str, int] | None
) -> float:
    import statistics
    import time

    import torch

    from attngen.runtime.tensors import torch_dtype, torch_tensors

    drawn = sample(spec.definition, Sizes(1, length, length), given)
    q, k, v = (torch.from_numpy(x).to(torch_dtype(plan.dtype)) for x in (drawn.q, drawn.k, drawn.v))
    values = torch_tensors(spec.definition.tensors, drawn.tensors) | drawn.params
    attend = pipeline.compile(spec, backend="cpu", target=plan.arch, plan=fixed)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        out = attend(q, k, v, **values)
        seconds = []
        for _ in range(ROUNDS):
            start = time.thread_time()
            attend(q, k, v, out=out, **values)
            seconds.append(time.thread_time() - start)
    finally:
        torch.set_num_threads(before)
    return statistics.median(seconds)


def _lines(spec: AttentionSpec, cpu: CpuTarget, known: Explanation, rates: CoreRates) -> Iterator[str]:
    yield from head(spec, known.dtype, cpu.name, cpu.arch)
    yield f"Cost by length (batch 1, one core, predicted from {rates.fma_gflops:.0f} GFLOP/s {rates.source};"
    yield "in brackets what full attention would take)"
    yield from table(
        (*counts_heading("GFLOP"), "GFLOP/s", "limit"),
        [(*counts_row(cost, 1e9), f"{cost.flops / max(cost.us, 1e-9) * 1e-3:.0f}", cost.limit) for cost in known.costs],
    )
    if known.sampled:
        yield f"  made-up values: {', '.join(known.sampled)}"
    if known.measured:
        yield ""
        yield "Measured (CPU time of one thread; FLOPs are those of visited tiles)"
        yield "  at {seqlen:,} tokens: {ms:.2f} ms, {gflops:.0f} GFLOP/s".format(**known.measured)
        yield "  {share_of_peak:.0%} of the {peak_gflops:.0f} GFLOP/s of multiply-adds".format(**known.measured)
        yield "  {gbps:.2f} GB/s, {share_of_read:.0%} of the {read_gbps:.0f} GB/s of reading".format(**known.measured)
    yield ""
    assert known.plan is not None
    yield from plan_lines(known.plan)
    if known.rivals:
        yield ""
        yield "Rivals"
        yield from table(
            ("tile", "micro-tile", "time", "limit"),
            [_rival(rival) for rival in known.rivals if isinstance(rival, CpuPlan)],
        )


def _rival(plan: CpuPlan) -> tuple[str, ...]:
    rows, micro = f"{plan.block_m}", f"{plan.micro_m} x {plan.micro_n}"
    if plan.decode:
        micro = f"splits of {plan.split_keys}, {plan.prefetch} ahead"
    if plan.q_tiles > 1:
        rows = f"{plan.q_tiles} of {rows}"
    return f"{rows} x {plan.block_n}", micro, time_text(plan.predicted_us), plan.limit
