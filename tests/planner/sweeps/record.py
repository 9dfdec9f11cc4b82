"""`python -m tests.planner.sweeps.record`: compile the grid of the recorded sweeps with attngen's own kernels.

Rows that are there already are kept, so it goes on where it was stopped. No GPU is needed; about twenty minutes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import attngen as ag
from attngen.building.built import Built
from attngen.building.job import triton_version
from attngen.building.workers import Workers
from attngen.language.spec import AttentionSpec
from attngen.pipeline import problem_of
from attngen.planner.choose import rank_plans
from attngen.planner.plan import Plan
from attngen.planner.ranked import known, rank_counted
from attngen.targets.load import find_target

ARCHITECTURES, WIDTHS = ("sm_80", "sm_90", "sm_100"), (64, 128)
LENGTHS = (None, 512, 1024, 2048, 4096, 8192, 16384, 65536)
"""That the untuned plan is asked for; None: not known."""
NOMINAL = 8192
"""Queries and keys at which plans are compared that were chosen without a length."""
GRID = {"block_m": (64, 128), "block_n": (32, 64, 128), "num_warps": (4, 8), "num_stages": (2, 3, 4)}
FIELDS = ("block_m", "block_n", "num_warps", "num_stages", "descriptors")
KEY = ("arch", "head_dim", *FIELDS)
FACTS = ("registers", "spills", "loop_spills", "shared_bytes", "occupancy", "slots_per_kflop", "masked_slots_per_kflop")
PATH = Path(__file__).with_name("own_sweep.csv")


def causal(head_dim: int) -> AttentionSpec:
    """The variant of the sweeps."""
    return ag.AttentionSpec(name="causal", heads=(32, 8), head_dim=head_dim, mask=ag.causal(), dtype="bf16")


def untuned(arch: str, head_dim: int, length: int | None) -> Plan:
    """What attngen makes without a compiler or a GPU at hand, as `generate` does."""
    problem = problem_of(causal(head_dim), None, length, length)
    return rank_counted(problem, find_target(arch), known(causal(head_dim), problem))[0]


def plans(arch: str, head_dim: int) -> Iterator[Plan]:
    """The untuned plans, then whatever of the grid would run."""
    spec, target = causal(head_dim), find_target(arch)
    for length in LENGTHS:
        yield untuned(arch, head_dim, length)
    for sizes in product(*GRID.values()):
        try:
            plan = rank_plans(problem_of(spec), target, dict(zip(GRID, sizes, strict=True)))[0]
        except ag.AttngenError:
            continue
        if not any("repeat" in reason for reason in plan.reasons):
            yield plan


def key_of(plan: Plan, head_dim: int) -> tuple[str, ...]:
    return plan.arch, str(head_dim), *(str(int(getattr(plan, name))) for name in FIELDS)


def facts_of(built: Built) -> tuple[str, ...]:
    kernel = built.forward
    main = [loop for loop in kernel.loops if loop.main]
    slots = {loop.masked: f"{loop.slots_per_kflop:.4f}" for loop in main if loop.slots_per_kflop}
    in_loops = sum(loop.spills for loop in kernel.loops)
    numbers = (kernel.registers, kernel.spills, in_loops, kernel.shared_bytes, kernel.occupancy)
    return *map(str, numbers), slots.get(False, ""), slots.get(True, "")


def recorded() -> dict[tuple[str, ...], dict[str, str]]:
    """Facts by key, as the last recording wrote them."""
    if not PATH.exists():
        return {}
    lines = PATH.read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {tuple(row[name] for name in KEY): row for row in rows}


def main() -> None:
    rows = recorded()
    if not rows:
        about = (
            f"# Causal bf16 forward kernels of attngen cross-compiled by Triton {triton_version()}, "
            "written by tests/planner/sweeps/record.py.\n"
            "# Slots are those of the loop without the mask, and of the one with it (empty: there is no such loop).\n"
        )
        PATH.write_text(about + ",".join((*KEY, *FACTS)) + "\n", encoding="utf-8")
    with Workers(1) as workers:
        for arch, head_dim in product(ARCHITECTURES, WIDTHS):
            for plan in plans(arch, head_dim):
                key = key_of(plan, head_dim)
                if key in rows:
                    continue
                built = ag.build(causal(head_dim), arch, plan=plan, workers=workers)
                row = (*key, *facts_of(built))
                rows[key] = {}
                with PATH.open("a", encoding="utf-8") as file:
                    file.write(",".join(row) + "\n")
                print(*row, flush=True)


if __name__ == "__main__":
    main()
