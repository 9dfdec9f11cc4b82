"""The sweep of plans: its space, its file, and what is compared with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from attngen.runtime.native.isa import detect
from attngen.runtime.native.machine import measure
from attngen.runtime.request import Request
from attngen.targets.cpu import CPUS
from benchmarks import plans
from benchmarks.contenders import Problem
from benchmarks.plans_page import page
from benchmarks.shapes import FITTED, HELD_OUT

CPU = detect()
SHAPES = (Problem("causal", "fp32", 32, 96, (2, 2)), Problem("full", "fp32", 32, 200, (4, 2), 1))


def test_no_held_out_shape_is_fitted() -> None:
    assert not set(FITTED) & set(HELD_OUT)
    assert len(FITTED) >= 12 and len(HELD_OUT) >= 12


@pytest.mark.parametrize("problem", [FITTED[2], FITTED[-1]], ids=["forward", "decoding"])
@pytest.mark.parametrize("target", [cpu for cpu in CPUS if cpu.vector_bytes >= 32], ids=lambda cpu: cpu.arch)
def test_the_untuned_plan_is_in_the_space(problem: Problem, target: object) -> None:
    assert plans.untuned(problem, target) in plans.space(problem, target)  # type: ignore[arg-type]


def test_a_swept_plan_is_the_one_that_runs() -> None:
    """Also where a field is 0: a kernel without prefetching is not given the planner's own."""
    problem = SHAPES[1]
    plan = next(plan for plan in plans.space(problem, CPU) if plan[-1] == 0)
    attend = plans.call_of(problem, CPU.arch, plan)
    made = attend.variant.emit(Request("fp32", CPU.arch, True)).plan
    assert plans.chosen(made) == plan != plans.untuned(problem, CPU)


def test_compared_with_the_best_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = {problem: [plans.untuned(problem, CPU), *plans.space(problem, CPU)[-2:]] for problem in SHAPES}
    monkeypatch.setattr(plans, "space", lambda problem, target: list(dict.fromkeys(space[problem])))
    file = tmp_path / "sweep.csv"
    plans.write(plans.sweep(SHAPES, CPU, 2), file, CPU, 2)
    assert file.read_text().count("\n") == 4 + sum(len(set(rows)) for rows in space.values())
    found = list(plans.compare(SHAPES, CPU, plans.best_of(file), few=2, rounds=3))
    assert [row.problem for row in found] == list(SHAPES)
    text = page({"here": found}, measure(), 3, "0.1")
    assert all(f"{row.ms:.2f} |" in text and str(row.ratio) in text for row in found)
