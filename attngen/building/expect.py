"""What the plan and the schedule promise of a kernel, so that its machine code can be held to it."""

from __future__ import annotations

from dataclasses import replace

from attngen.building.built import Built
from attngen.emit.triton import Origin, make_view
from attngen.machine_code.gates import Expected
from attngen.machine_code.loops import Loop
from attngen.pipeline import Generated
from attngen.planner.cost import estimate_cost
from attngen.planner.problem import Problem
from attngen.planner.resources import Usage, instruction
from attngen.targets.target import Target


def expectation(made: Generated, problem: Problem, target: Target) -> Expected:
    """What the plan promised of the machine code."""
    plan = made.gpu_plan
    columns = sum(plan.chunks_qk) + sum(plan.chunks_v)
    return Expected(
        kind=instruction(plan.candidate, problem, target),
        occupancy=plan.occupancy,
        tile_flops=2 * plan.block_m * plan.block_n * columns,
        tile_bytes=plan.block_n * columns * problem.element_bytes,
        num_warps=plan.num_warps,
    )


def corrected(built: Built, problem: Problem) -> Built:
    """The build with a plan that says what was compiled, at the cost that follows from it."""
    plan, kernel = built.plan, built.forward
    usage = Usage(kernel.registers, kernel.shared_bytes, kernel.occupancy, "", "")
    cost = estimate_cost(plan.candidate, problem, built.target, usage)
    told = f"compiled: {kernel.registers} registers, {kernel.shared_bytes} B, {kernel.occupancy} a multiprocessor"
    plan = replace(
        plan,
        registers=kernel.registers,
        shared_bytes=kernel.shared_bytes,
        occupancy=kernel.occupancy,
        predicted_us=cost.us,
        limit=cost.limit,
        reasons=(*plan.reasons, told),
    )
    return replace(built, plan=plan, failures=())


def with_masks(loops: tuple[Loop, ...], made: Generated) -> tuple[Loop, ...]:
    """Which loop is which sweep, by the lines of the source that its products come from."""
    starts = _sweep_lines(made)
    return tuple(
        replace(loop, masked=max(before)[1]) if (before := [s for s in starts if s[0] <= loop.line]) else loop
        for loop in loops
    )


def _sweep_lines(made: Generated) -> list[tuple[int, bool]]:
    """(line, masked) of the head of every loop over key tiles."""
    view = make_view(made.graph, made.schedule, made.gpu_plan, Origin("", "", "", False))
    lines = [line.strip() for line in made.text.splitlines()]
    found, start = [], 0
    for sweep in view.loops:
        head = sweep.header.splitlines()[-1].strip()
        if head not in lines[start:]:
            return []
        start = lines.index(head, start) + 1
        found.append((start, sweep.masked))
    return found
