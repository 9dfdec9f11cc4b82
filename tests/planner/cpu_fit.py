"""Fit the constants of the CPU cost model to recorded sweeps: `make fit-cpu`, a minute.

Writes attngen/planner/cpu/fitted.toml and prints how far predictions are off, and how much slower the plan that they
choose is than the best of the sweep, for shapes that the fit saw and for those it did not.
"""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen import pipeline
from attngen.planner.counted import counted
from attngen.planner.cpu import CpuPlan, candidates, rank_cpu_plans, refusals
from attngen.planner.cpu.constants import CpuConstants, fitted_cpu
from attngen.planner.cpu.cost import estimate_cpu_cost
from attngen.planner.cpu.grain import grain_of
from attngen.planner.overrides import CPU_CHOICES
from attngen.planner.problem import Problem
from attngen.planner.waves import Work, rectangle
from attngen.targets.cpu import CoreRates, CpuTarget, find_cpu
from benchmarks import contenders
from benchmarks.shapes import FITTED, HELD_OUT

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SWEEP, DECODE_SWEEP = HERE / "cpu_sweep.csv", HERE / "cpu_decode_sweep.csv"
TOML = ROOT / "attngen" / "planner" / "cpu" / "fitted.toml"
Array = npt.NDArray[Any]
CHOICES = CPU_CHOICES
START = CpuConstants(
    wait=12.0,
    sharpness=41.77,
    drain=13.43,
    turn=0.8657,
    softmax=13.21,
    operation=1.176,
    transcendental=8.259,
    masking=3.097,
    widen=3.486,
    pair=2.0,
    near=0.1589,
    again=2.0,
    far=0.247,
    visit=22.07,
    item=652.3,
    row=6.0,
    key=0.8649,
    reading=0.852,
    late=0.07171,
    idle=0.03217,
    split=2914.0,
    call=0.9157,
)
"""Where the fit begins, and what it stays near where nothing speaks against it."""
_TRUST, _RANKS = 0.5, 2.0
_ROUNDS, _STEP = 25, 0.02


@dataclass(frozen=True, slots=True)
class Row:
    """One plan at one shape."""

    shape: contenders.Problem
    plan: CpuPlan
    ms: float
    rates: CoreRates

    @property
    def work(self) -> Work:
        """Its tiles, counted on the schedule."""
        if self.plan.decode:
            return rectangle(1, 1, 1)
        made: Work = work_of(self.shape)(self.plan.block_m, self.plan.grain, self.plan.pack)
        return made


@dataclass(frozen=True, slots=True)
class Sweep:
    rows: tuple[Row, ...]
    target: CpuTarget
    machine: str

    def of(self, shapes: Iterable[contenders.Problem]) -> list[Row]:
        wanted = set(shapes)
        return [row for row in self.rows if row.shape in wanted]


@cache
def problem_of(shape: contenders.Problem) -> Problem:
    return pipeline.problem_of(contenders.spec(shape), shape.dtype, shape.m, shape.n if shape.m else None)


@cache
def work_of(shape: contenders.Problem) -> Any:
    count = counted(contenders.spec(shape), shape.n, {}, {})
    return cache(lambda rows, keys, pack: count(_Tile(rows, keys, pack)))


@dataclass(frozen=True, slots=True)
class _Tile:
    block_m: int
    grain: int
    pack: int


def load() -> Sweep:
    """Both sweeps. They need not be of one machine: each row is priced at the rates of its own."""
    rows, machines = [], []
    for path in (SWEEP, DECODE_SWEEP):
        lines = path.read_text(encoding="utf-8").splitlines()
        comments = [line for line in lines if line.startswith("#")]
        machine, arch, _ = comments[1].removeprefix("# ").split("; ", 2)
        fma, dot, read = map(float, re.findall(r"[0-9.]+", comments[2]))
        target, rates = find_cpu(arch), CoreRates(fma, dot, read, f"recorded on {machine}")
        assert target is not None
        machines.append(machine)
        rows += [_row(row, target, rates) for row in csv.DictReader(line for line in lines if not line.startswith("#"))]
    return Sweep(tuple(rows), target, " and ".join(dict.fromkeys(machines)))


def _row(row: dict[str, str], target: CpuTarget, rates: CoreRates) -> Row:
    decode = row["queries"] == "1"
    shape = contenders.Problem(
        row["mask"], row["dtype"], int(row["dim"]), int(row["n"]), (int(row["heads"]), int(row["kv_heads"])),
        1 if decode else None,
    )  # fmt: skip
    fields = {name: int(row[name]) for name in CHOICES}
    some = next(iter(space(shape, target).values()))
    grain = fields["block_n"] if decode else grain_of(fields["micro_n"], fields["block_n"])
    # the sweep has plans that the planner does not offer
    return Row(shape, replace(some, grain=grain, **fields), float(row["ms"]), rates)


@cache
def space(shape: contenders.Problem, target: CpuTarget) -> dict[tuple[int, ...], CpuPlan]:
    problem = problem_of(shape)
    fits = (p for p in candidates(problem, target) if not refusals(p, problem.definition.head_dim, target))
    return {tuple(getattr(plan, name) for name in CHOICES): plan for plan in fits}


def predicted_ms(row: Row, sweep: Sweep, fit: CpuConstants) -> float:
    return estimate_cpu_cost(
        row.plan, problem_of(row.shape), sweep.target, row.work, row.shape.n, row.rates, fit
    ).us / 1e3  # fmt: skip


def fit(sweep: Sweep, rows: Sequence[Row], start: CpuConstants = START) -> CpuConstants:
    """Damped Gauss-Newton on logarithms. Plans near the best of their shape weigh most, and how far a plan is off
    from the others of its shape more than how far all of them are: they must rank right.
    """
    best: dict[contenders.Problem, float] = {}
    for row in rows:
        best[row.shape] = min(row.ms, best.get(row.shape, math.inf))
    weight = np.array([(best[row.shape] / row.ms) ** 4 for row in rows])
    shapes = [list(best).index(row.shape) for row in rows]
    same = np.equal.outer(shapes, shapes)
    real, names = np.log([row.ms for row in rows]), list(asdict(start))
    origin = np.log(list(asdict(start).values()))

    def residuals(point: Array) -> Array:
        constants = CpuConstants(**dict(zip(names, np.exp(point).tolist(), strict=True)))
        off = np.log([predicted_ms(row, sweep, constants) for row in rows]) - real
        ranks = off - (same @ (weight * off)) / (same @ weight)
        return np.concatenate([weight * off, _RANKS * weight * ranks, (point - origin) * _TRUST])

    point, damping = origin.copy(), 1.0
    now = residuals(point)
    for _ in range(_ROUNDS):
        slopes = np.stack([(residuals(point + nudge) - now) / _STEP for nudge in _STEP * np.eye(len(names))], 1)
        normal = slopes.T @ slopes
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -slopes.T @ now).clip(-0.5, 0.5)
        then = residuals(point + step)
        if then @ then < now @ now:
            point, now, damping = point + step, then, max(damping / 4, 1e-4)
        else:
            damping *= 5
    return CpuConstants(**{name: float(f"{value:.4g}") for name, value in zip(names, np.exp(point), strict=True)})


def untuned(shape: contenders.Problem, sweep: Sweep, constants: CpuConstants) -> CpuPlan:
    """What a call of this shape gets: the plan for no length in particular."""
    asked = pipeline.problem_of(contenders.spec(shape), shape.dtype, shape.m)
    return rank_cpu_plans(asked, sweep.target, rates=sweep.of([shape])[0].rates, fit=constants)[0]


def loss(shape: contenders.Problem, sweep: Sweep, constants: CpuConstants) -> tuple[float, CpuPlan, CpuPlan]:
    """(time of the untuned plan over that of the best, the untuned plan, the best)."""
    rows = {key(row.plan): row for row in sweep.of([shape])}
    plan = untuned(shape, sweep, constants)
    best = min(rows.values(), key=lambda row: row.ms)
    # the sweep has no plans of eight query tiles: one of four stands for them
    swept = plan if key(plan) in rows else replace(plan, q_tiles=4)
    return rows[key(swept)].ms / best.ms, plan, best.plan


def key(plan: CpuPlan) -> tuple[int, ...]:
    return tuple(getattr(plan, name) for name in CHOICES)


def main() -> None:
    sweep = load()
    constants = fit(sweep, sweep.of(FITTED))
    values = "\n".join(f"{name} = {value!r}" for name, value in asdict(constants).items())
    about = f"# Written by `make fit-cpu` from two sweeps in tests/planner: {sweep.target.arch},\n"
    about += f"# {sweep.machine}.\n# docs/plans.md says what each one is."
    TOML.write_text(f"{about}\n\n[constants]\n{values}\n", encoding="utf-8")
    fitted_cpu.cache_clear()
    print(values)
    for name, shapes in (("fitted", FITTED), ("held out", HELD_OUT)):
        found = [(shape, *loss(shape, sweep, constants)) for shape in shapes]
        for shape, ratio, plan, best in found:
            off = statistics.median(predicted_ms(row, sweep, constants) / row.ms for row in sweep.of([shape]))
            what = f"{shape.mask:10}{shape.dtype} {shape.dim:4} {shape.n:6} {shape.queries:6}"
            print(f"{what}  {key(plan)} {ratio:.3f}  {key(best)}  predicted/real {off:.2f}")
        ratios = [ratio for _, ratio, _, _ in found]
        print(f"{name}: geometric mean {statistics.geometric_mean(ratios):.3f}, worst {max(ratios):.3f}")


if __name__ == "__main__":
    main()
