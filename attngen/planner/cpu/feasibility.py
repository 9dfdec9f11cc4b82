"""Whether a CPU plan can be, and why not: the one place that states the constraints."""

from __future__ import annotations

from attngen.language.definition import HeadDim
from attngen.planner.cpu.plan import CpuPlan
from attngen.targets.cpu import CpuTarget


def refusals(plan: CpuPlan, width: HeadDim, target: CpuTarget) -> list[str]:
    """Why a plan cannot be: nothing where it fits."""
    wrong = []
    step = plan.micro_m * plan.lanes
    if plan.lanes < 2 or plan.lanes & (plan.lanes - 1):
        wrong.append(f"a vector of {plan.lanes} lanes; it is a power of two from 2")
    if min(plan.block_m, plan.block_n, plan.micro_m, plan.micro_n, plan.micro_d) < 1:
        wrong.append("every size is at least 1")
        return wrong
    if plan.q_tiles < 1 or (plan.q_tiles > 1 and (plan.decode or plan.grain == plan.block_n)):
        wrong.append(f"{plan.q_tiles} query tiles that share keys; there is one where few rows or scattered keys are")
    if plan.decode and (plan.block_m & (plan.block_m - 1) or plan.block_m > plan.lanes):
        wrong.append(f"{plan.block_m} rows; a vector of {plan.lanes} lanes holds a power of two up to that")
    if not plan.decode and plan.block_m % step:
        wrong.append(f"block_m {plan.block_m} is no multiple of micro_m x lanes = {step}")
    if plan.block_n % plan.micro_n:
        wrong.append(f"block_n {plan.block_n} is no multiple of micro_n = {plan.micro_n}")
    if plan.block_n % 2:
        wrong.append(f"block_n {plan.block_n} is odd; weights are made for two keys at a time")
    if plan.block_m < plan.pack:
        wrong.append(f"block_m {plan.block_m} does not hold one query of {plan.pack} heads")
    if plan.dot and width.qk % 2:
        wrong.append(f"products of bf16 pairs need an even head dimension, not {width.qk}")
    if plan.dot and not target.dot_bf16:
        wrong.append(f"{target.name} has no products of bf16 pairs")
    used = registers_used(plan)
    if not plan.decode and used > target.registers:
        wrong.append(f"micro-tiles need {used} vector registers of {target.registers}")
    return wrong


def registers_used(plan: CpuPlan) -> int:
    """Sums of a micro-tile, its vectors of rows, and one broadcast."""
    return plan.micro_m * max(plan.micro_n, plan.micro_d) + plan.micro_m + 1
