"""What may be tuned: typed fragments that know their neighbours, through the planner's one predicate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from attngen.planner.cpu import CpuPlan, refusals
from attngen.planner.problem import Problem
from attngen.targets.cpu import CpuTarget

Choice = tuple[tuple[str, int], ...]
"""The chosen fields of a plan, sorted by name: a configuration as a key."""

_ROWS = (16, 32, 48, 64, 96, 128, 192, 256)
_KEYS = (16, 32, 48, 64, 96, 128, 192, 256)
_VECTORS = (1, 2, 3, 4)
_MICRO = (2, 3, 4, 5, 6, 8, 10, 12, 14)
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


def overrides(choice: Choice) -> dict[str, int]:
    """The choice as fixed fields of a plan; a size of 0 stands for "none", which is what leaving it out means."""
    return {name: value for name, value in choice if value}


def every(fragments: Sequence[Fragment], can_be: Callable[[Choice], bool]) -> Iterator[Choice]:
    for values in product(*(fragment.values for fragment in fragments)):
        choice = choice_of(dict(zip((f.name for f in fragments), values, strict=True)))
        if can_be(choice):
            yield choice


def cpu_space(problem: Problem, target: CpuTarget, untuned: CpuPlan) -> Space:
    """The choices of a CPU plan around the untuned one: tiles and micro-tiles, or how decoding reads its keys."""
    width = problem.definition.head_dim
    fragments = tuple(one.with_value(getattr(untuned, one.name)) for one in _cpu_fragments(problem, target, untuned))
    start = choice_of({one.name: getattr(untuned, one.name) for one in fragments})

    def why_not(choice: Choice) -> list[str]:
        return refusals(dataclasses.replace(untuned, **dict(choice)), width, target)  # type: ignore[arg-type]

    found = every(fragments, lambda choice: not why_not(choice))
    return Space(fragments, start, why_not, by_distance(tuple(found), start, fragments))


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
    # the two products of a tile have micro-tiles of their own, but what one likes the other likes as well
    return (
        Fragment("block_m", rows),
        Fragment("block_n", keys),
        Fragment("micro_d", _MICRO),
        Fragment("micro_m", _VECTORS),
        Fragment("micro_n", _MICRO),
    )


def by_distance(choices: Sequence[Choice], start: Choice, fragments: Sequence[Fragment]) -> tuple[Choice, ...]:
    """Without a model of time: what is fewest steps away from the untuned plan first."""
    places = {one.name: {value: i for i, value in enumerate(one.values)} for one in fragments}
    origin = dict(start)

    def steps(choice: Choice) -> tuple[int, Choice]:
        return sum(abs(places[n][v] - places[n][origin[n]]) for n, v in choice), choice

    return tuple(sorted(choices, key=steps))
