"""The price of CPU plans: what it must say of tiles, masks and widths, and how near its choices are to a sweep."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import attngen as ag
from attngen import pipeline
from attngen.planner.counted import counted
from attngen.planner.cpu import CpuPlan, candidates, rank_cpu_plans, refusals
from attngen.planner.cpu.constants import fitted_cpu
from attngen.planner.cpu.cost import lost_lines, micro_step, tile_parts
from attngen.planner.cpu.work import works
from attngen.targets.cpu import CPUS, CoreRates, CpuTarget, find_cpu, nominal_rates
from benchmarks.shapes import FITTED, HELD_OUT
from tests.planner import cpu_fit

MASKS = {
    "full": None,
    "causal": ag.causal(),
    "window": ag.causal() & ag.sliding_window(64),
    "chunked": ag.chunked(96),
    "prefix": ag.prefix_lm(100),
}


def target(name: str = "avx2") -> CpuTarget:
    found = find_cpu(name)
    assert found is not None
    return found


def spec(mask: Any = None, dim: int = 64, **more: Any) -> ag.AttentionSpec:
    return ag.AttentionSpec("x", **({"heads": (4, 4), "head_dim": dim, "mask": mask} | more))


def ranked(made: ag.AttentionSpec, dtype: str = "fp32", rows: int | None = None, **more: Any) -> tuple[CpuPlan, ...]:
    return rank_cpu_plans(pipeline.problem_of(made, dtype, rows), target(), **more)


@pytest.mark.parametrize("shapes", [FITTED, HELD_OUT], ids=["fitted", "held out"])
def test_untuned_plans_are_near_the_best_of_the_sweep(shapes: Any) -> None:
    sweep = cpu_fit.load()
    found = [cpu_fit.loss(shape, sweep, fitted_cpu())[0] for shape in shapes]
    assert statistics.geometric_mean(found) <= 1.03
    assert max(found) <= 1.10


def test_constants_are_those_of_the_sweep() -> None:
    """Predictions of a few plans are right, so nobody changed the formulas and forgot `make fit-cpu`."""
    sweep = cpu_fit.load()
    some = [row for row in sweep.rows if row.shape in (HELD_OUT[0], HELD_OUT[10], HELD_OUT[17])][::7]
    assert len(some) > 10
    off = [cpu_fit.predicted_ms(row, sweep, fitted_cpu()) / row.ms for row in some]
    assert 0.9 <= statistics.median(off) <= 1.1


@pytest.mark.parametrize("length", [1152, 3456], ids=["by the mask", "by a schedule"])
@pytest.mark.parametrize("name", MASKS)
def test_fine_tiles_put_together_are_those_of_the_schedule(name: str, length: int) -> None:
    """Lengths of whole tiles: at ragged ends the schedule masks a little more."""
    made = spec(MASKS[name])
    problem = pipeline.problem_of(made, "fp32", length, length)
    plans = [plan for plan in candidates(problem, target()) if not refusals(plan, ag.HeadDim(64, 64), target())]
    ((_, work_of),) = works(problem, plans)
    exact = counted(made, length, {}, {})
    for plan in plans[:: len(plans) // 8]:
        here, there = work_of(plan), exact(plan)
        assert sum(here.full) + sum(here.masked) == pytest.approx(sum(there.full) + sum(there.masked), rel=0.01)
        assert sum(here.full) == pytest.approx(sum(there.full), rel=0.01)
        assert here.blocks == there.blocks


def test_a_mask_that_tensors_decide_is_priced_without_them() -> None:
    made = spec(ag.causal() & ag.document(ids=np.arange(9) // 3))
    assert ranked(made)[0].block_m <= ranked(spec())[0].block_m


def test_narrow_windows_take_small_tiles() -> None:
    narrow, wide = ranked(spec(MASKS["window"]))[0], ranked(spec(), "bf16")[0]
    assert narrow.block_m * narrow.block_n < wide.block_m * wide.block_n


def test_sums_wait_for_themselves() -> None:
    """Eight sums hardly cover the wait of a multiply-add, four do not, twelve do."""
    fit = fitted_cpu()
    assert micro_step(2, 4, fit) / 8 > 1.05 * micro_step(2, 6, fit) / 12
    assert micro_step(1, 4, fit) / 4 > 2.0 * micro_step(2, 6, fit) / 12


def test_widening_pays_for_more_rows() -> None:
    """Keys are widened anew for each item: 16-bit keys gain more than fp32 where more query tiles share them."""
    made = spec(ag.causal(), 128)

    def gain(dtype: str) -> float:
        plans = {plan.q_tiles: plan for plan in reversed(ranked(made, dtype)) if plan.block_m == 16}
        return plans[1].predicted_us / plans[4].predicted_us

    assert gain("bf16") > 1.05 * gain("fp32") > 1.0


def test_values_that_fill_the_first_level_cache_are_fetched_again() -> None:
    wide, narrow = (next(plan for plan in ranked(spec(dim=dim)) if plan.block_n == 96) for dim in (128, 64))
    assert lost_lines(wide, ag.HeadDim(128, 128), target()) > 0 == lost_lines(narrow, ag.HeadDim(64, 64), target())
    assert ranked(spec(dim=128))[0].block_n < ranked(spec(dim=64))[0].block_n


@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.arch)
def test_ranks_are_in_order_and_priced(cpu: CpuTarget) -> None:
    problem = pipeline.problem_of(spec(ag.causal()), "fp32", 700, 700)
    plans = rank_cpu_plans(problem, cpu)
    times = [plan.predicted_us for plan in plans]
    assert len(plans) >= 9 and times[0] > 0 and plans[0].limit
    assert times[0] <= 1.05 * min(times)  # what two threads wait for may decide


@pytest.mark.parametrize(("dtype", "dim", "rows"), [("fp32", 64, 16), ("fp32", 128, 8), ("bf16", 64, 32)])
def test_few_rows_ask_for_keys_a_page_ahead(dtype: str, dim: int, rows: int) -> None:
    plans = ranked(spec(dim=dim, heads=(32, 8)), dtype, rows=1)
    assert plans[0].decode and plans[0].prefetch == rows
    without = next(plan for plan in plans if not plan.prefetch)
    assert without.predicted_us > 1.02 * plans[0].predicted_us


def test_rates_of_the_machine_scale_times_and_weigh_pairs() -> None:
    cpu = target("avx512_bf16")
    problem = pipeline.problem_of(spec(dim=128), "bf16", 4096, 4096)
    nominal = nominal_rates(cpu)
    slow = CoreRates(nominal.fma_gflops / 2, nominal.dot_gflops / 2, nominal.read_gbps, "test")
    assert rank_cpu_plans(problem, cpu, rates=slow)[0].predicted_us == pytest.approx(
        2 * rank_cpu_plans(problem, cpu)[0].predicted_us, rel=0.01
    )
    plan = rank_cpu_plans(problem, cpu)[0]
    level = replace(nominal, dot_gflops=nominal.fma_gflops)  # pairs that are no quicker than single products
    parts = [tile_parts(plan, problem, cpu, rates, fitted_cpu())["multiply-adds"] for rates in (nominal, level)]
    assert plan.dot and parts[1] == pytest.approx(2 * parts[0])


def test_a_length_guides_the_plan() -> None:
    made = spec(ag.causal(), 128)
    long = pipeline.generate(made, "avx2", dtype="bf16", seqlen=8192).plan
    short = pipeline.generate(made, "avx2", dtype="bf16", seqlen=64).plan
    assert long.block_m > short.block_m
