"""Every plan of the planner's space, timed: `make bench-plans`, or python -m benchmarks.plans --help.

`--sweep` times all plans at each shape and writes tests/planner/cpu_sweep.csv, with `--few-rows` those of decoding and
cpu_decode_sweep.csv: the cost model is fitted to both.
Without it, the plan that a call gets untuned is timed anew beside the best ones of the last sweep, in fresh rounds,
for the least of many times is less than the truth. CPU time of one thread, in rotating order, so that a loaded
machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import torch

import attngen as ag
from attngen import pipeline
from attngen.planner.cpu import CpuPlan, candidates, choose_cpu_plan, refusals
from attngen.planner.overrides import CPU_CHOICES
from attngen.runtime.native.isa import detect
from attngen.runtime.native.machine import measure
from attngen.targets.cpu import CpuTarget
from benchmarks.contenders import Problem, inputs, spec
from benchmarks.plans_page import PAGE, Compared, page
from benchmarks.shapes import FITTED, HELD_OUT
from benchmarks.timing import Ratio, load
from tests.support.marks import write_part

ROOT = Path(__file__).resolve().parents[1]
SWEEP = ROOT / "tests" / "planner" / "cpu_sweep.csv"
DECODE_SWEEP = SWEEP.with_name("cpu_decode_sweep.csv")
CHOICES = CPU_CHOICES
SHAPE = ("mask", "dtype", "dim", "n", "heads", "kv_heads", "queries")
LEAST_S = 0.004
"""A quick call is repeated within its turn for so long."""


@dataclass(frozen=True, slots=True)
class Timed:
    """The best of some rounds of one plan at one shape, in milliseconds of CPU time."""

    problem: Problem
    plan: tuple[int, ...]
    ms: float


def space(problem: Problem, target: CpuTarget) -> list[tuple[int, ...]]:
    """All that fit, but for tiles of one vector of rows: nothing but few rows wants those."""
    asked = pipeline.problem_of(spec(problem), problem.dtype, problem.m)
    fits = (plan for plan in candidates(asked, target) if not refusals(plan, asked.definition.head_dim, target))
    return [chosen(plan) for plan in fits if plan.decode or plan.micro_m > 1]


def chosen(plan: CpuPlan) -> tuple[int, ...]:
    return tuple(getattr(plan, name) for name in CHOICES)


@cache
def attend(mask: str, dtype: str, dim: int, heads: tuple[int, int], n: int, target: str, plan: tuple[int, ...]) -> Any:
    """One kernel for all lengths of a variant (documents hold their lengths)."""
    fields = {name: value for name, value in zip(CHOICES, plan, strict=True) if value or name == "prefetch"}
    return ag.compile(spec(Problem(mask, dtype, dim, n, heads)), backend="cpu", target=target, plan=fields or None)


def call_of(problem: Problem, target: str, plan: tuple[int, ...]) -> Any:
    n = problem.n if problem.mask == "documents" else 64
    return attend(problem.mask, problem.dtype, problem.dim, problem.heads, n, target, plan)


def timed(
    problem: Problem, plans: list[tuple[int, ...]], target: str, rounds: int
) -> dict[tuple[int, ...], list[float]]:
    """Seconds of each round, by plan; the order of the plans rotates."""
    q, k, v = inputs(problem)
    out, calls, repeats = torch.empty_like(q), {}, {}
    for plan in plans:
        calls[plan] = call = call_of(problem, target, plan)
        call(q, k, v, out=out)
        start = time.thread_time()
        call(q, k, v, out=out)
        repeats[plan] = max(1, int(LEAST_S / max(time.thread_time() - start, 1e-6)))
    seconds: dict[tuple[int, ...], list[float]] = {plan: [] for plan in plans}
    for turn in range(rounds):
        first = turn * len(plans) // rounds
        for plan in plans[first:] + plans[:first]:
            call, count = calls[plan], repeats[plan]
            start = time.thread_time()
            for _ in range(count):
                call(q, k, v, out=out)
            seconds[plan].append((time.thread_time() - start) / count)
    return seconds


def sweep(shapes: Iterable[Problem], target: CpuTarget, rounds: int) -> Iterator[Timed]:
    for problem in shapes:
        start = time.monotonic()
        rows = timed(problem, space(problem, target), target.arch, rounds)
        best = min(rows, key=lambda plan: min(rows[plan]))
        print(f"{problem}: {len(rows)} plans, best {best} {1e3 * min(rows[best]):.3f} ms, worst "
              f"{max(map(min, rows.values())) / min(rows[best]):.2f}x ({time.monotonic() - start:.0f} s)",
              file=sys.stderr, flush=True)  # fmt: skip
        for plan, seconds in rows.items():
            yield Timed(problem, plan, 1e3 * min(seconds))


def shape_of(problem: Problem) -> tuple[Any, ...]:
    return problem.mask, problem.dtype, problem.dim, problem.n, *problem.heads, problem.queries


def write(rows: Iterable[Timed], path: Path, target: CpuTarget, rounds: int) -> None:
    machine = measure(target.arch)
    with path.open("w", newline="") as file:
        print(f"# python -m benchmarks.plans --sweep --rounds {rounds}: CPU time of one thread, best round", file=file)
        print(f"# {machine.processor}; {machine.arch}; {machine.compiler}", file=file)
        print(f"# fma_gflops {machine.fma_gflops:.1f}; dot_gflops {machine.dot_gflops:.1f}; "
              f"read_gbps {machine.read_gbps:.1f}", file=file)  # fmt: skip
        table = csv.writer(file, lineterminator="\n")
        table.writerow((*SHAPE, *CHOICES, "ms"))
        for row in rows:
            table.writerow((*shape_of(row.problem), *row.plan, f"{row.ms:.4f}"))
            file.flush()


def untuned(problem: Problem, target: CpuTarget) -> tuple[int, ...]:
    """What a call gets: a plan for no length in particular."""
    return chosen(choose_cpu_plan(pipeline.problem_of(spec(problem), problem.dtype, problem.m), target))


def fixed_tiles(problem: Problem, target: CpuTarget) -> tuple[int, ...]:
    """For comparison: tiles of 64 x 64 whatever the mask, and no prefetching."""
    most = 8 if target.registers >= 32 else 4
    if problem.m:
        plan = choose_cpu_plan(
            pipeline.problem_of(spec(problem), problem.dtype, problem.m),
            target,
            {"block_n": 32, "split_keys": 1024},
        )
        return (*chosen(plan)[:-1], 0)
    return 1, 64, 64, 2, most, most, 0, 0


def best_of(path: Path) -> dict[tuple[str, ...], list[tuple[int, ...]]]:
    """Shape -> plans of a sweep, best first."""
    rows = csv.DictReader(line for line in path.read_text().splitlines() if not line.startswith("#"))
    found: dict[tuple[str, ...], list[tuple[float, tuple[int, ...]]]] = {}
    for row in rows:
        plan = tuple(int(row[name]) for name in CHOICES)
        found.setdefault(tuple(row[name] for name in SHAPE), []).append((float(row["ms"]), plan))
    return {shape: [plan for _, plan in sorted(plans)] for shape, plans in found.items()}


def compare(
    shapes: Iterable[Problem],
    target: CpuTarget,
    swept: Mapping[tuple[str, ...], list[tuple[int, ...]]],
    few: int,
    rounds: int,
) -> Iterator[Compared]:
    """``swept``: plans by shape, best first."""
    for problem in shapes:
        known = swept[tuple(map(str, shape_of(problem)))]
        mine, fixed = untuned(problem, target), fixed_tiles(problem, target)
        rows = timed(problem, list(dict.fromkeys([mine, fixed, *known[:few]])), target.arch, rounds)
        best = min(known[:few], key=lambda plan: median(rows[plan]))
        ratio, gain = Ratio.of(rows[mine], rows[best]), Ratio.of(rows[fixed], rows[mine])
        made = Compared(problem, mine, best, len(known), 1e3 * median(rows[mine]), ratio, gain)
        print(made, file=sys.stderr, flush=True)
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", action="store_true", help="time all plans; half an hour")
    parser.add_argument("--few-rows", action="store_true", help="with --sweep: decoding")
    parser.add_argument("--target", help="a level of vectors; by default the best of this machine")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--few", type=int, default=3, help="plans of the sweep that are timed anew")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/plans.md")
    given = parser.parse_args()
    torch.set_num_threads(1)
    target = detect(given.target)
    if given.sweep:
        shapes = (shape for shape in (*FITTED, *HELD_OUT) if bool(shape.m) == given.few_rows)
        write(sweep(shapes, target, given.rounds), DECODE_SWEEP if given.few_rows else SWEEP, target, given.rounds)
        return
    before, swept = load(), best_of(SWEEP) | best_of(DECODE_SWEEP)
    groups = {
        name: list(compare(shapes, target, swept, given.few, given.rounds))
        for name, shapes in (("Shapes that the model was fitted to", FITTED), ("Held-out shapes", HELD_OUT))
    }
    text = page(groups, measure(target.arch), given.rounds, before)
    print(text)
    if given.write:
        write_part(PAGE, "measured", text)


if __name__ == "__main__":
    main()
