"""Rank CPU plans: every candidate through one feasibility function, the survivors by their predicted time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from attngen.errors import PlanError
from attngen.planner.cpu.candidates import candidates
from attngen.planner.cpu.constants import CpuConstants, fitted_cpu
from attngen.planner.cpu.cost import CpuCost, estimate_cpu_cost
from attngen.planner.cpu.feasibility import refusals
from attngen.planner.cpu.plan import CpuPlan
from attngen.planner.cpu.reasons import reasons
from attngen.planner.cpu.work import WorkOf, works
from attngen.planner.overrides import CPU_CHOICES, checked_overrides
from attngen.planner.problem import Problem
from attngen.targets.cpu import CoreRates, CpuTarget, nominal_rates


def choose_cpu_plan(
    problem: Problem,
    target: CpuTarget,
    fixed: Mapping[str, int] | None = None,
    work_of: WorkOf | None = None,
    rates: CoreRates | None = None,
) -> CpuPlan:
    """The plan predicted to be fastest, or a PlanError that says why nothing fits."""
    return rank_cpu_plans(problem, target, fixed, work_of, rates)[0]


def rank_cpu_plans(
    problem: Problem,
    target: CpuTarget,
    fixed: Mapping[str, int] | None = None,
    work_of: WorkOf | None = None,
    rates: CoreRates | None = None,
    *,
    fit: CpuConstants | None = None,
) -> tuple[CpuPlan, ...]:
    """All plans that fit, best first.

    ``fixed``: choices of a person, as `parse_plan_overrides` reads them. ``work_of`` counts the tiles that a plan
    visits at the length of ``problem``; otherwise `works` does, and where no length is known at several of them:
    then `_regrets` ranks, and ``predicted_us`` is of the longest. ``rates``: of the machine,
    where it was measured.
    """
    chosen = checked_overrides(fixed, CPU_CHOICES) or {}
    rates, fit = rates or nominal_rates(target), fit or fitted_cpu()
    width = problem.definition.head_dim
    judged = [(plan, refusals(plan, width, target)) for plan in candidates(problem, target, chosen)]
    fits = [plan for plan, wrong in judged if not wrong]
    if not fits:
        wrong = min((wrong for _, wrong in judged), key=len)
        raise PlanError(
            f"{problem.dtype} on {target.name}: {'; '.join(wrong)}", remedy="change or drop the pinned sizes"
        )
    counts = works(problem, fits) if work_of is None else ((problem.key_rows, work_of),)
    costs = [
        [estimate_cpu_cost(plan, problem, target, work(plan), n, rates, fit) for n, work in counts] for plan in fits
    ]
    order = sorted(zip(_regrets(costs), fits, costs, strict=True), key=lambda row: row[0])
    lengths = tuple(length for length, _ in counts)
    return tuple(_told(plan, cost[-1], problem, target, lengths) for _, plan, cost in order)


def priced(
    plans: Iterable[CpuPlan], problem: Problem, target: CpuTarget, work_of: WorkOf, rates: CoreRates | None = None
) -> tuple[CpuPlan, ...]:
    """The same plans with what they take for the tiles that ``work_of`` counts, best first."""
    rates, fit, keys = rates or nominal_rates(target), fitted_cpu(), problem.key_rows
    costs = [(p, estimate_cpu_cost(p, problem, target, work_of(p), keys, rates, fit)) for p in plans]
    costs.sort(key=lambda row: row[1].us)
    return tuple(_told(plan, cost, problem, target, (keys,)) for plan, cost in costs)


def _regrets(costs: list[list[CpuCost]]) -> list[float]:
    """Of each plan: the mean over lengths of its time over that of the best plan there, squared, so that no length
    is given up for another."""
    times = [[cost.busy_us for cost in of_plan] for of_plan in costs]
    best = [min(at_length) for at_length in zip(*times, strict=True)]
    return [sum((us / least) ** 2 for us, least in zip(row, best, strict=True)) / len(best) for row in times]


def _told(plan: CpuPlan, cost: CpuCost, problem: Problem, target: CpuTarget, lengths: tuple[int, ...]) -> CpuPlan:
    return dataclasses.replace(
        plan,
        predicted_us=cost.us,
        limit=cost.limit,
        reasons=reasons(plan, problem, target, cost, lengths),
    )
