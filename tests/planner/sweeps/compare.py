"""`python -m tests.planner.sweeps.compare`: untuned plans beside the best of the recorded sweeps; writes the table.

The judge is the cost model with what compilers made in place of its estimates: registers and shared memory
(and so the blocks that fit), spills in loops, and the instructions of the loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

from attngen.pipeline import problem_of
from attngen.planner.candidates import Candidate
from attngen.planner.constants import fitted
from attngen.planner.cost import dram_bytes, kernel_us
from attngen.planner.counted import counted
from attngen.planner.pipes import Tile, forward_tile
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.targets.load import find_target
from attngen.targets.target import Target
from tests.planner.kit import table
from tests.planner.sweeps.peers import peer_lines
from tests.planner.sweeps.record import ARCHITECTURES, LENGTHS, NOMINAL, WIDTHS, causal, untuned
from tests.planner.sweeps.screens import SCREENS, screen
from tests.support.marks import write_part

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "cost-model.md"
SWEEPS = ("own", "recorded")
"""attngen's kernels by Triton 3.7, and hand-written ones by Triton 3.9."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a compiler made of one tile size. Slots are per 1000 FLOPs; 0 where the loop is not known."""

    candidate: Candidate
    registers: int
    loop_spills: int
    occupancy: int
    slots: float
    masked_slots: float


@dataclass(frozen=True, slots=True)
class Judged:
    """An untuned plan beside the best of its sweep, both by the facts; ``chosen`` is None if it is not there."""

    sweep: str
    arch: str
    head_dim: int
    length: int | None
    plan: Plan
    chosen: Facts | None
    chosen_us: float
    best: Facts
    best_us: float

    @property
    def excess(self) -> float:
        return self.chosen_us / self.best_us - 1


@cache
def facts(sweep: str, arch: str, head_dim: int) -> dict[Candidate, Facts]:
    """By candidate. Of the recorded kernels that load by pointers or descriptors the one that attngen would emit."""
    found = {}
    for row in table("sweeps/own_sweep.csv" if sweep == "own" else "forward_sweep.csv"):
        if (row["arch"], int(row["head_dim"])) != (arch, head_dim) or row.get("kernel") == "naive":
            continue
        sizes = (int(row[name]) for name in ("block_m", "block_n", "num_warps", "num_stages"))
        descriptors = row["descriptors"] == "1" if sweep == "own" else row["kernel"] == "desc_host"
        candidate = Candidate(*sizes, 1, (head_dim,), (head_dim,), descriptors)
        numbers = (int(row[name]) for name in ("registers", "loop_spills", "occupancy"))
        masked = float(row.get("masked_slots_per_kflop") or 0)
        found[candidate] = Facts(candidate, *numbers, float(row["slots_per_kflop"] or 0), masked)
    return found


def with_slots(tile: Tile, facts: Facts, problem: Problem, target: Target) -> Tile:
    """The tile with the instructions that were compiled instead of those that are estimated."""
    candidate = facts.candidate
    columns = sum(candidate.chunks_qk) + sum(candidate.chunks_v)
    kiloflops = 2 * candidate.block_m * candidate.block_n * columns / 1000
    issue = facts.slots * kiloflops / target.sub_partitions or tile.issue
    masked = facts.masked_slots * kiloflops / target.sub_partitions
    return replace(tile, issue=issue, masking=max(0.0, masked - issue) if masked else tile.masking)


def compiled_us(facts: Facts, head_dim: int, target: Target, length: int) -> float:
    """Predicted time of a call at ``length`` by the facts, at the tiles that it visits."""
    spec = causal(head_dim)
    problem = problem_of(spec, None, length, length)
    work = _counted(head_dim, length)(facts.candidate)
    assert work is not None
    tile = with_slots(forward_tile(facts.candidate, problem, target, work.blocks), facts, problem, target)
    return kernel_us(tile, work, max(1, facts.occupancy), dram_bytes(problem), target, fitted())[0]


@cache
def _counted(head_dim: int, length: int):  # type: ignore[no-untyped-def]  # a cache of a cache
    return counted(causal(head_dim), length, {}, {})


def judged() -> Iterator[Judged]:
    for sweep, arch, head_dim, length in product(SWEEPS, ARCHITECTURES, WIDTHS, LENGTHS):
        target, known = find_target(arch), facts(sweep, arch, head_dim)
        plan = untuned(arch, head_dim, length)
        times = {
            candidate: compiled_us(one, head_dim, target, length or NOMINAL)
            for candidate, one in known.items()
            if not one.loop_spills
        }
        best = min(times, key=lambda candidate: times[candidate])
        chosen = known.get(plan.candidate)
        us = times.get(plan.candidate, float("inf"))
        yield Judged(sweep, arch, head_dim, length, plan, chosen, us, known[best], times[best])


def lines() -> Iterator[str]:
    """Markdown: one row a plan that is chosen, with the lengths that it is chosen for."""
    groups: dict[tuple[object, ...], list[Judged]] = {}
    for one in judged():
        groups.setdefault((one.sweep, one.arch, one.head_dim, one.plan.candidate), []).append(one)
    yield "| kernels | target | head | keys | untuned plan | spills in its loop | best by the facts | it takes more |"
    yield "| --- | --- | ---: | --- | --- | ---: | --- | ---: |"
    for (sweep, arch, head_dim, candidate), same in groups.items():
        chosen = same[0].chosen
        assert chosen is not None, f"{arch}, {candidate} is not in the sweep: record it first"
        keys = ", ".join("not known" if one.length is None else f"{one.length:,}" for one in same)
        worst = max(same, key=lambda one: one.excess)
        more = "-" if chosen.loop_spills else f"{100 * worst.excess:.1f} %"
        best = "the same" if worst.best.candidate == candidate else worst.best.candidate
        yield f"| {sweep} | {arch} | {head_dim} | {keys} | {candidate} | {chosen.loop_spills} | {best} | {more} |"


def main() -> None:
    parts = {"sweeps": "\n".join(lines()), "peers": "\n".join(peer_lines()), **{name: screen(name) for name in SCREENS}}
    for name, text in parts.items():
        print(text)
        write_part(DOCUMENT, name, text)


if __name__ == "__main__":
    main()
