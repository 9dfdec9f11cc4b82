"""Which plans are compiled, in which order, and which one is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import attngen as ag
from attngen.building.built import Attempt, Built
from attngen.building.search import MOST_TRIES, _worth_trying, search
from attngen.machine_code.gates import Failure
from attngen.pipeline import problem_of
from attngen.planner.choose import rank_plans
from attngen.planner.plan import Plan

PLANS = rank_plans(
    problem_of(ag.AttentionSpec(name="small", heads=4, head_dim=64, mask=ag.causal())), ag.find_target("sm_80")
)
WAITS = Failure("waits", "made up")
OCCUPANCY = Failure("occupancy", "made up")


@dataclass(frozen=True)
class FakeBuild:
    plan: Plan
    failures: tuple[Failure, ...] = ()

    @property
    def forward(self) -> Any:
        return SimpleNamespace(occupancy=1)


def found(
    judge: Callable[[int, Plan], tuple[Failure, ...]], price: Callable[[Plan], float] = lambda plan: 1e9
) -> tuple[Plan | None, tuple[Attempt, ...]]:
    count = iter(range(100))

    def make(plan: Plan) -> Built:
        return cast(Built, FakeBuild(plan, judge(next(count), plan)))

    def correct(built: Built) -> Built:
        return cast(Built, FakeBuild(replace(built.plan, predicted_us=price(built.plan))))

    built, tried = search(PLANS, make, correct)
    return (built.plan if built is not None else None), tried


def test_the_first_plan_that_passes_is_taken() -> None:
    assert found(lambda i, plan: ()) == (PLANS[0], ())
    plan, tried = found(lambda i, plan: (WAITS,) if i < 2 else ())
    assert plan == PLANS[2]
    assert [attempt.plan for attempt in tried] == list(PLANS[:2])
    assert "waits: made up" in str(tried[0])


def test_the_search_ends() -> None:
    plan, tried = found(lambda i, plan: (WAITS,))
    assert plan is None
    assert len(tried) == MOST_TRIES


def test_a_few_spills_may_go_with_other_stages_many_only_with_a_smaller_tile() -> None:
    def shape(plan: Plan) -> tuple[int, int, int]:
        return plan.block_m, plan.block_n, plan.num_warps

    few = [Attempt(PLANS[0], (Failure("spills", "", 2),))]
    many = [Attempt(PLANS[0], (Failure("spills", "", 200),))]
    assert shape(PLANS[0]) in {shape(plan) for plan in _worth_trying(PLANS, few)}
    left = {shape(plan) for plan in _worth_trying(PLANS, many)}
    assert shape(PLANS[0]) not in left
    assert left
    first = PLANS[0]
    for block_m, block_n, warps in left:
        assert block_m * first.num_warps < first.block_m * warps or block_n < first.block_n


def test_fewer_blocks_than_planned_only_change_the_price() -> None:
    # dearer than all others: the next one that passes wins
    assert found(lambda i, plan: (OCCUPANCY,) if i == 0 else ())[0] == PLANS[1]
    # still cheaper than the next one, which is then not compiled at all
    plan, tried = found(lambda i, plan: (OCCUPANCY,) if i == 0 else (), lambda plan: plan.predicted_us)
    assert plan == PLANS[0]
    assert len(tried) == 1
    # the cheapest of those that wait, where none passes
    plan, _ = found(lambda i, plan: (OCCUPANCY,) if i == 1 else (WAITS,))
    assert plan is not None
    assert replace(plan, predicted_us=0.0) == replace(PLANS[1], predicted_us=0.0)
