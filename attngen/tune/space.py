"""What may be tuned: typed fragments that know their neighbours, through the planner's one predicate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from attngen.planner.candidates import BLOCK_M, BLOCK_N, STAGES, WARPS, candidates
from attngen.planner.choose import rank_plans
from attngen.planner.cpu import CpuPlan, refusals
from attngen.planner.cpu.candidates import keys_in_runs
from attngen.planner.cpu.choose import priced
from attngen.planner.cpu.feasibility import registers_used
from attngen.planner.cpu.grain import grain_of
from attngen.planner.cpu.work import works
from attngen.planner.feasibility import judge
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.targets.cpu import CoreRates, CpuTarget
from attngen.targets.target import Target

Choice = tuple[tuple[str, int], ...]
"""The chosen fields of a plan, sorted by name: a configuration as a key."""

_ROWS = (16, 24, 32, 48, 64, 96, 128)
_TOGETHER = (1, 2, 4, 8)
_KEYS = (12, 16, 24, 32, 48, 64, 96, 128)
_VECTORS = (1, 2, 3, 4)
_MICRO = (4, 5, 6, 8, 10, 12, 14)
_LEAST_REGISTERS = 0.5
"""Of all: micro-tiles that leave more of them empty only wait for their sums."""
_SPLITS = (256, 512, 1024, 2048, 4096, 8192)
_AHEAD = (0, 4, 8, 16, 32, 64)
_WIDTHS = (4, 8, 16, 24)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One field of a plan and the values that are worth trying, ascending."""

    name: str
    values: tuple[int, ...]

    def neighbours(self, value: int) -> tuple[int, ...]:
        """The next smaller and the next larger value; of a value that is not listed, those around it."""
        below = [other for other in self.values if other < value]
        above = [other for other in self.values if other > value]
        return (*below[-1:], *above[:1])

    def with_value(self, value: int) -> Fragment:
        return Fragment(self.name, tuple(sorted({*self.values, value})))


@dataclass(frozen=True)
class Space:
    """``untuned`` is what a compiler without measurements takes. ``refusals`` says why a choice cannot be."""

    fragments: tuple[Fragment, ...]
    untuned: Choice
    refusals: Callable[[Choice], Sequence[str]]
    ordered: tuple[Choice, ...] = field(default=())
    """Every choice that can be, best by the model first."""
    predicted_us: Mapping[Choice, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ordered)

    def neighbours(self, choice: Choice) -> tuple[Choice, ...]:
        """What differs by one step of one fragment, or of two at once, and can be; by the model's order."""
        values = dict(choice)
        rank = {one: i for i, one in enumerate(self.ordered)}
        steps = [(f.name, near) for f in self.fragments for near in f.neighbours(values[f.name])]
        near = {choice_of({**values, name: value}) for name, value in steps}
        near |= {choice_of({**values, a: x, b: y}) for a, x in steps for b, y in steps if a < b}
        return tuple(sorted((one for one in near if one in rank and one != choice), key=rank.__getitem__))


def choice_of(values: Mapping[str, int]) -> Choice:
    return tuple(sorted(values.items()))


def every(fragments: Sequence[Fragment], can_be: Callable[[Choice], bool]) -> Iterator[Choice]:
    for values in product(*(fragment.values for fragment in fragments)):
        choice = choice_of(dict(zip((f.name for f in fragments), values, strict=True)))
        if can_be(choice):
            yield choice


def cpu_space(problem: Problem, target: CpuTarget, untuned: CpuPlan, rates: CoreRates | None = None) -> Space:
    """The choices of a CPU plan around the untuned one: tiles and micro-tiles, or how decoding reads its keys.

    ``problem`` has the lengths of the call: the model orders the space by what it predicts there, at the ``rates`` of
    this machine where they are known.
    """
    width = problem.definition.head_dim
    fragments = tuple(one.with_value(getattr(untuned, one.name)) for one in _cpu_fragments(problem, target, untuned))
    start = choice_of({one.name: getattr(untuned, one.name) for one in fragments})

    runs = not untuned.decode and keys_in_runs(problem, target)

    def plan_of(choice: Choice) -> CpuPlan:
        made = dataclasses.replace(untuned, **dict(choice))  # type: ignore[arg-type]  # names of sizes
        fine = runs and made.micro_n > 0
        return dataclasses.replace(made, grain=grain_of(made.micro_n, made.block_n) if fine else made.block_n)

    def why_not(choice: Choice) -> list[str]:
        return refusals(plan_of(choice), width, target)

    def worth_it(choice: Choice) -> bool:
        plan = plan_of(choice)
        used = untuned.decode or registers_used(plan) >= _LEAST_REGISTERS * target.registers
        return choice == start or (used and not refusals(plan, width, target))

    plans = [plan_of(choice) for choice in every(fragments, worth_it)]
    ((_, work_of),) = works(problem, plans)
    names = [one.name for one in fragments]
    ranked = {
        choice_of({name: getattr(plan, name) for name in names}): plan.predicted_us
        for plan in priced(plans, problem, target, work_of, rates)
    }
    return Space(fragments, start, why_not, tuple(ranked), ranked)


def _cpu_fragments(problem: Problem, target: CpuTarget, untuned: CpuPlan) -> tuple[Fragment, ...]:
    pinned = problem.blocks
    keys = (untuned.block_n,) if pinned is not None and pinned.kv is not None else _KEYS
    if untuned.decode:
        return (
            Fragment("block_n", keys),
            Fragment("micro_d", tuple(size for size in _WIDTHS if size < target.registers)),
            Fragment("prefetch", _AHEAD),
            Fragment("split_keys", _SPLITS),
        )
    rows = (untuned.block_m,) if pinned is not None and pinned.q is not None else _ROWS
    return (
        Fragment("block_m", rows),
        Fragment("block_n", keys),
        Fragment("micro_d", _MICRO),
        Fragment("micro_m", _VECTORS),
        Fragment("micro_n", _MICRO),
        Fragment("q_tiles", _TOGETHER if untuned.grain < untuned.block_n else (1,)),
    )


GPU_FIELDS = ("block_m", "block_n", "num_warps", "num_stages")


def gpu_space(problem: Problem, target: Target, untuned: Plan | None = None) -> tuple[Space, Mapping[Choice, Plan]]:
    """The choices of a GPU plan, and the best plan of each: how keys are loaded is the planner's to say.

    ``untuned``: what a compiler takes that does not know the lengths; else the best at those of ``problem``.
    """
    best: dict[Choice, Plan] = {}
    for plan in rank_plans(problem, target):
        best.setdefault(_gpu_choice(plan), plan)
    start = next(iter(best))
    if untuned is not None:
        start = _gpu_choice(untuned)
        best.setdefault(start, untuned)
    sizes = {"block_m": BLOCK_M, "block_n": BLOCK_N, "num_warps": WARPS, "num_stages": STAGES}
    fragments = tuple(Fragment(name, values).with_value(dict(start)[name]) for name, values in sizes.items())

    def why_not(choice: Choice) -> list[str]:
        tried = candidates(problem, target, dict(choice))
        found = [judge(candidate, problem, target) for candidate in tried]
        return [] if any(one.ok for one in found) else [reason for one in found[:1] for reason in one.reasons]

    predicted = {choice: plan.predicted_us for choice, plan in best.items()}
    return Space(fragments, start, why_not, tuple(best), predicted), best


def _gpu_choice(plan: Plan) -> Choice:
    return choice_of({name: getattr(plan, name) for name in GPU_FIELDS})
