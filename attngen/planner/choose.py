"""Choose a plan: every candidate through one predicate, the survivors ranked by one cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attngen.errors import PlanError
from attngen.planner.candidates import Candidate, candidates, describe_chunks
from attngen.planner.cost import Cost, estimate_cost
from attngen.planner.feasibility import Verdict, judge, overlap_bytes
from attngen.planner.overrides import GPU_CHOICES, checked_overrides
from attngen.planner.plan import Plan
from attngen.planner.problem import NOMINAL_LENGTH, Problem
from attngen.planner.resources import instruction, register_limit
from attngen.planner.waves import Work
from attngen.targets.target import Target

_SHOWN = 3
"""Refused candidates that an error explains."""
_Judged = tuple[Candidate, Verdict]
WorkOf = Callable[[Candidate], Work | None]
"""Counts the tiles that a candidate's kernel visits; None is a guess."""


def choose_plan(
    problem: Problem, target: Target, fixed: Mapping[str, int] | None = None, work_of: WorkOf | None = None
) -> Plan:
    """The plan predicted to be fastest, or a PlanError that says why nothing fits."""
    return rank_plans(problem, target, fixed, work_of)[0]


def rank_plans(
    problem: Problem, target: Target, fixed: Mapping[str, int] | None = None, work_of: WorkOf | None = None
) -> tuple[Plan, ...]:
    """All plans that fit, best first. ``fixed``: choices of a person, as `parse_plan_overrides` reads them."""
    if problem.dtype == "fp64":
        raise PlanError(f"no kernels for dtype `fp64` on {target.name}", remedy="CPU targets have them; use fp32 here")
    fixed = checked_overrides(fixed, GPU_CHOICES)
    judged = [(candidate, judge(candidate, problem, target)) for candidate in candidates(problem, target, fixed)]
    good = [row for row in judged if row[1].ok]
    if not good and (problem.pinned or fixed):
        # what a person pinned is obeyed as long as it runs: a spill is said, not refused
        good = [row for row in judged if row[1].fits]
    if not good:
        raise _refusal(problem, target, judged, bool(fixed))
    costed = [(estimate_cost(c, problem, target, v.usage, work_of and work_of(c)), c, v) for c, v in good]
    costed.sort(key=lambda row: (_spilled(row[2]), round(row[0].us, 3), row[1].num_stages, row[1].num_warps))
    return tuple(_plan(problem, target, candidate, verdict, cost, bool(fixed)) for cost, candidate, verdict in costed)


def _spilled(verdict: Verdict) -> int:
    """Among pinned tiles that no warp count holds, the one that spills least goes first."""
    return 0 if verdict.ok else verdict.usage.registers


def _plan(problem: Problem, target: Target, candidate: Candidate, verdict: Verdict, cost: Cost, fixed: bool) -> Plan:
    usage = verdict.usage
    late_values = overlap_bytes(candidate, problem, target, usage)
    return Plan(
        target=target.name,
        arch=target.arch,
        dtype=problem.dtype,
        block_m=candidate.block_m,
        block_n=candidate.block_n,
        num_warps=candidate.num_warps,
        num_stages=candidate.num_stages,
        pack=candidate.pack,
        chunks_qk=candidate.chunks_qk,
        chunks_v=candidate.chunks_v,
        descriptors=candidate.descriptors,
        overlap=late_values > 0,
        registers=min(usage.registers, register_limit(candidate, target)),
        shared_bytes=usage.shared_bytes + late_values,
        occupancy=usage.occupancy,
        predicted_us=cost.us,
        limit=cost.limit,
        reasons=_reasons(problem, target, candidate, verdict, cost, fixed),
    )


def _reasons(
    problem: Problem, target: Target, candidate: Candidate, verdict: Verdict, cost: Cost, fixed: bool
) -> tuple[str, ...]:
    usage, head_dim = verdict.usage, problem.definition.head_dim
    pipes = ", ".join(f"{name} {cycles:.0f}" for name, cycles in cost.pipes)
    resident = "1 block" if usage.occupancy == 1 else f"{usage.occupancy} blocks"
    lines = [
        f"{candidate} on {target.name} ({target.arch}), products by {instruction(candidate, problem, target)}",
        f"registers: {usage.register_sum} = {usage.registers} of {register_limit(candidate, target)} (estimate)",
        f"shared memory: {usage.shared_sum} = {usage.shared_bytes} of {target.smem_per_block} B, "
        f"{resident} a multiprocessor",
        *_overlap_reason(overlap_bytes(candidate, problem, target, usage)),
        f"cycles a key tile: {pipes}; together about {cost.tile:.0f}, limited by {cost.limit}",
    ]
    if len(candidate.chunks_qk) > 1 or sum(candidate.chunks_qk) != head_dim.qk:
        lines.append(describe_chunks(head_dim.qk, "query/key width"))
    if head_dim.v != head_dim.qk and (len(candidate.chunks_v) > 1 or sum(candidate.chunks_v) != head_dim.v):
        lines.append(describe_chunks(head_dim.v, "value width"))
    if candidate.pack > 1:
        queries, group = candidate.block_m // candidate.pack, problem.definition.heads.group
        lines.append(f"few queries: the {group} heads of a group share a tile of {queries} x {candidate.pack} rows")
    if problem.seqlen_q is None:
        lines.append(f"lengths unknown: planned for a long prefill ({NOMINAL_LENGTH} keys)")
    if problem.pinned or fixed:
        lines.append("sizes pinned by the spec or the caller are obeyed")
    lines.extend(f"warning: {reason}" for reason in verdict.reasons)
    return tuple(lines)


def _overlap_reason(late_values: int) -> list[str]:
    if not late_values:
        return []
    return [f"P V runs one tile late, beside the next exponentials: {late_values} B more for its V tile"]


def _overshoot(candidate: Candidate, verdict: Verdict, target: Target) -> float:
    """How many times over its limit the scarcer of registers and shared memory is; what fits both comes last."""
    usage = verdict.usage
    worst = max(usage.registers / register_limit(candidate, target), usage.shared_bytes / target.smem_per_block)
    return worst if worst > 1.0 else float("inf")


def _refusal(problem: Problem, target: Target, judged: list[_Judged], fixed: bool) -> PlanError:
    """Name the candidates nearest to fitting and the numbers that stop them."""
    head_dim = problem.definition.head_dim
    what = f"head dimension {head_dim.qk}" + (f"/{head_dim.v}" if head_dim.v != head_dim.qk else "")
    near = sorted(judged, key=lambda row: (not row[1].fits, _overshoot(row[0], row[1], target), len(row[1].reasons)))
    lines: dict[tuple[int, int], str] = {}
    for candidate, verdict in near:
        # one line a tile: other warps or stages of the same tile would repeat it
        tile = (candidate.block_m, candidate.block_n)
        lines.setdefault(tile, f"  {candidate}: {'; '.join(verdict.reasons)}")
    text = "\n".join(list(lines.values())[:_SHOWN]) or "  no block sizes to try: they are powers of two from 16 on"
    if problem.pinned or fixed:
        remedy = "drop or shrink the pinned sizes (`blocks=`, `--plan`)"
    else:
        remedy = "a 16-bit dtype, a smaller head dimension, or a target with more shared memory"
    return PlanError(f"no plan for {what} in {problem.dtype} fits {target.name} ({target.arch})\n{text}", remedy=remedy)
