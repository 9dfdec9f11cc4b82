"""What a variant costs on a core of a CPU: predicted from a nominal clock, or measured beside a probe of the core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from attngen import pipeline
from attngen.explanation.cost import Cost, Explanation, counted, drawn_at, lengths_up_to, made_up
from attngen.explanation.text import counts_heading, counts_row, head, plan_lines, table
from attngen.pipeline import Generated
from attngen.planner.cpu import CpuPlan
from attngen.planner.problem import ELEMENT_BYTES
from attngen.sample import Sizes, sample
from attngen.targets.cpu import CpuTarget

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec
    from attngen.runtime.native.machine import Machine

NOMINAL_GHZ = 3.0
SHARE_OF_PEAK = 0.75
"""What full tiles of the products reach; masked ones take a quarter longer."""
MASKED = 1.25
READ_GBPS = 20.0
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
    peak, read = nominal_peak(plan, cpu), READ_GBPS
    if machine is not None:
        peak, read = machine.peak(plan.dtype, plan.dot), machine.read_gbps
    costs = tuple(
        _timed(counted(spec, plan, length, drawn_at(spec, length, given), ELEMENT_BYTES[plan.dtype]), peak, read)
        for length in lengths_up_to(seqlen)
    )
    measured = _measured(spec, plan, costs, given, fixed, machine) if machine is not None else {}
    known = Explanation(
        "", spec.name, cpu.name, plan.dtype, seqlen, None, costs, plan, (), made_up(spec, given), measured
    )  # fmt: skip
    return replace(known, text="\n".join(_lines(spec, cpu, known, peak, machine)))


def nominal_peak(plan: CpuPlan, cpu: CpuTarget) -> float:
    """GFLOP/s of a core at the nominal clock; a product of bf16 pairs does twice the work."""
    return NOMINAL_GHZ * cpu.fma_per_clk * plan.lanes * 2 * (2 if plan.dot else 1)


def _timed(cost: Cost, peak: float, read: float) -> Cost:
    """The counted cost with predicted times of one core."""
    tile = cost.flops / max(1, cost.tiles) / (SHARE_OF_PEAK * peak * 1e3)  # us
    computing = tile * (cost.tiles + (MASKED - 1) * cost.tiles_masked)
    reading = cost.bytes / (read * 1e3)
    limit = "multiply-adds" if computing >= reading else "memory"
    full = max(tile * cost.tiles_of_full_attention, reading)
    return replace(cost, us=max(computing, reading), us_of_full_attention=full, limit=limit)


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

    from attngen.runtime.tensors import torch_dtype

    drawn = sample(spec.definition, Sizes(1, length, length), given)
    q, k, v = (torch.from_numpy(x).to(torch_dtype(plan.dtype)) for x in (drawn.q, drawn.k, drawn.v))
    values: dict[str, Any] = {
        name: torch.from_numpy(x).float() if x.dtype.kind == "f" else torch.from_numpy(x)
        for name, x in drawn.tensors.items()
    }
    values |= drawn.params
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


def _lines(
    spec: AttentionSpec, cpu: CpuTarget, known: Explanation, peak: float, machine: Machine | None
) -> Iterator[str]:
    yield from head(spec, known.dtype, cpu.name, cpu.arch)
    source = f"measured on {machine.processor}" if machine else f"at a nominal {NOMINAL_GHZ:g} GHz"
    yield f"Cost by length (batch 1, one core, predicted from {peak:.0f} GFLOP/s {source};"
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
