"""Tiles that others take, beside the untuned plan: both as attngen's kernel, by the cost model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from attngen.errors import PlanError
from attngen.pipeline import problem_of
from attngen.planner.candidates import Candidate
from attngen.planner.choose import choose_plan
from attngen.planner.counted import counted
from attngen.planner.feasibility import judge
from attngen.planner.plan import Plan
from attngen.targets.load import find_target
from tests.planner.kit import table
from tests.planner.sweeps.record import NOMINAL, causal


@dataclass(frozen=True, slots=True)
class Beside:
    """``peer_us`` is 0 where their tile does not fit; ``reasons``: what the planner holds against it."""

    peer: str
    arch: str
    head_dim: int
    theirs: Candidate
    ours: Plan
    our_us: float
    peer_us: float
    fits: bool
    reasons: tuple[str, ...]


def beside() -> Iterator[Beside]:
    for row in table("sweeps/peers.csv"):
        head_dim, target = int(row["head_dim"]), find_target(row["arch"])
        spec = causal(head_dim)
        ours = choose_plan(problem_of(spec), target)
        problem, count = problem_of(spec, None, NOMINAL, NOMINAL), counted(spec, NOMINAL, {}, {})
        names = ("block_m", "block_n", "num_warps", "num_stages")
        fixed = {name: int(row[name]) for name in names}
        mine = {name: int(getattr(ours, name)) for name in names}
        our_us = choose_plan(problem, target, mine, count).predicted_us
        try:
            plan = choose_plan(problem, target, fixed, count)
        except PlanError as error:
            reason = error.what.splitlines()[1].strip()
            theirs = Candidate(*fixed.values(), 1, ours.chunks_qk, ours.chunks_v, ours.descriptors)
            yield Beside(row["peer"], row["arch"], head_dim, theirs, ours, our_us, 0.0, False, (reason,))
        else:
            reasons = judge(plan.candidate, problem, target).reasons
            us = plan.predicted_us
            yield Beside(row["peer"], row["arch"], head_dim, plan.candidate, ours, our_us, us, True, reasons)


def peer_lines() -> Iterator[str]:
    """Markdown. The reasons are cut to what they are about."""
    yield "| tiles of | target | head | their tile | ours | theirs takes | refused here for |"
    yield "| --- | --- | ---: | --- | --- | ---: | --- |"
    for one in beside():
        ratio = f"x {one.peer_us / one.our_us:.2f}" if one.fits else "does not fit"
        about = ", ".join(dict.fromkeys(_about(reason) for reason in one.reasons))
        yield (
            f"| {one.peer} | {one.arch} | {one.head_dim} | {one.theirs} | {one.ours.candidate} | {ratio} | {about} |"
        )


def _about(reason: str) -> str:
    """ "registers: 64 base + ... = 368 > 255 of a thread, ..." -> "registers 368 > 255"."""
    parts = reason.split("pointers: ")[-1].split("descriptors: ")[-1]
    kind, _, text = parts.partition(":")
    return f"{kind} {text.split('=')[-1].split(' of a ')[0].strip()}" if "=" in text else parts.split(",")[0]
