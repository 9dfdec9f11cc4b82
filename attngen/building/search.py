"""Which plan is built: the ranked ones in turn, until the compiler confirms what the planner estimated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attngen.building.built import Attempt, Built
from attngen.planner.plan import Plan

MOST_TRIES = 8
"""Plans that are compiled before a target is given up."""
FEW_SPILLS = 8
"""Up to this many spill instructions in a loop, another number of stages may still do without."""


def search(
    plans: Sequence[Plan], make: Callable[[Plan], Built], correct: Callable[[Built], Built]
) -> tuple[Built | None, tuple[Attempt, ...]]:
    """The first plan that passes every gate, and those that were tried before it.

    A plan that only holds fewer blocks than was estimated is a good plan at a wrong price: ``correct``
    gives it the price of what was compiled, and it waits until no plan promises to be cheaper.
    """
    tried: list[Attempt] = []
    waiting: list[Built] = []
    for plan in _worth_trying(plans, tried):
        best = _cheapest(waiting)
        if best is not None and best.plan.predicted_us <= plan.predicted_us:
            break
        built = make(plan)
        if not built.failures:
            return built, tuple(tried)
        tried.append(Attempt(plan, built.failures))
        if all(failure.gate == "occupancy" for failure in built.failures) and built.forward.occupancy:
            waiting.append(correct(built))
    return _cheapest(waiting), tuple(tried)


def _cheapest(waiting: Sequence[Built]) -> Built | None:
    return min(waiting, key=lambda built: built.plan.predicted_us, default=None)


def _worth_trying(plans: Sequence[Plan], tried: Sequence[Attempt]) -> Iterator[Plan]:
    """The plans by rank, without those that would spill as another one did."""
    for plan in plans:
        if len(tried) < MOST_TRIES and not any(_spills_too(plan, attempt) for attempt in tried):
            yield plan


def _spills_too(plan: Plan, attempt: Attempt) -> bool:
    """Whether ``plan`` holds as many rows a warp and as many keys a tile as one that spilled.

    Stages change where registers are spilled but hardly how many: they can cure a few.
    """
    spills = sum(failure.amount for failure in attempt.failures if failure.gate == "spills")
    other = attempt.plan
    if not spills or plan.descriptors != other.descriptors:
        return False
    same = (plan.block_m, plan.block_n, plan.num_warps) == (other.block_m, other.block_n, other.num_warps)
    if same:
        return spills > FEW_SPILLS
    return plan.block_m * other.num_warps >= other.block_m * plan.num_warps and plan.block_n >= other.block_n
