"""`why`: another plan beside the chosen one, or the arithmetic that refuses it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import attngen as ag
from attngen.explanation import Explanation
from attngen.explanation.why import Why
from attngen.pipeline import problem_of
from attngen.planner.choose import choose_plan
from attngen.planner.counted import counted
from attngen.targets.load import find_target

WINDOW = ag.AttentionSpec(name="w", heads=(32, 8), head_dim=128, mask=ag.causal() & ag.sliding_window(1024))


@cache
def asked(target: str, length: int, **fields: int) -> tuple[Explanation, Why]:
    explained = ag.explain(WINDOW, target, length, why=fields)
    assert explained.why is not None
    return explained, explained.why


def lines(why: Why) -> dict[str, tuple[Any, Any]]:
    return {line.name: (line.chosen, line.asked) for line in why.lines}


def test_both_plans_at_the_tiles_that_they_visit() -> None:
    explained, why = asked("h100", 4096, block_m=64, block_n=64)
    found = lines(why)
    assert why.fits
    assert found["block_m"] == (explained.plan.block_m, 64)
    for side, (rows, keys) in enumerate(zip(found["block_m"], found["block_n"], strict=True)):
        counts = ag.schedule(WINDOW, rows, keys).counts(4096)
        assert found["tiles visited"][side] == counts.tiles_full + counts.tiles_partial
        assert found["masked tiles"][side] == counts.tiles_partial
    problem = problem_of(WINDOW, None, 4096, 4096)
    best = choose_plan(problem, find_target("h100"), {"block_m": 64, "block_n": 64}, counted(WINDOW, 4096, {}, {}))
    assert found["predicted time, us"][1] == best.predicted_us
    assert found["predicted time, us"][0] == explained.costs[-1].us
    assert found["num_warps"][1] == best.num_warps


def test_the_verdict_is_the_ratio_of_the_predictions() -> None:
    for keys, words in ((16, "slower"), (64, "equal to this model")):
        explained, why = asked("h100", 4096, block_m=64, block_n=keys)
        change = lines(why)["predicted time, us"][1] / explained.costs[-1].us - 1
        assert (change > 0.03) == (words == "slower")
        assert words in why.verdict
        assert f"{abs(change):.0%}" in why.verdict or f"{change:+.1%}" in why.verdict


def test_no_limit_alone_takes_longer_than_the_prediction() -> None:
    found = lines(asked("a100", 4096, block_n=32)[1])
    alone = [pair for name, pair in found.items() if name.endswith("alone, us")]
    assert len(alone) == 7
    for side in (0, 1):
        assert max(pair[side] for pair in alone) < found["predicted time, us"][side]


def test_the_chosen_plan_itself() -> None:
    plan = asked("h100", 4096, block_m=64)[0].plan
    same = asked("h100", 4096, block_m=plan.block_m, block_n=plan.block_n, num_warps=plan.num_warps, num_stages=2)[1]
    assert same.verdict == "this is the chosen plan"
    assert all(before == after for before, after in lines(same).values())


def test_a_plan_that_would_spill_is_compared_and_says_so() -> None:
    why = asked("a100", 4096, block_m=128, block_n=128, num_warps=4)[1]
    assert why.fits
    assert why.lines
    assert any(re.search(r"registers: .* = \d+ > 255", reason) for reason in why.reasons)


def test_a_plan_that_cannot_run_is_answered_with_its_arithmetic() -> None:
    why = asked("rtx4090", 4096, block_m=128, block_n=128, num_stages=4)[1]
    assert not why.fits
    assert why.lines == ()
    assert any("= 229376 B > 101376 B of a block on sm_89" in reason for reason in why.reasons)


def test_a_better_plan_than_the_chosen_one_is_admitted() -> None:
    """The window is a parameter, so the planner guessed half of the tiles; here it is short, and large tiles waste."""
    spec = ag.AttentionSpec(name="n", heads=8, head_dim=64, mask="q - kv < W & kv <= q", params={"W": "int32"})
    why = ag.explain(spec, "h100", 16384, params={"W": 64}, why={"block_m": 64}).why
    assert why is not None
    assert "faster; when a plan is chosen, a mask of parameters or tensors is guessed" in why.verdict
    fixed = WINDOW.replace(mask="q - kv < 64 & kv <= q")
    why = ag.explain(fixed, "h100", 16384, why={"block_m": 64}).why
    assert why is not None
    assert "faster" not in why.verdict


def test_on_a_cpu_the_fields_stand_side_by_side() -> None:
    explained, why = asked("avx2", 256, block_m=32)
    assert lines(why)["block_m"] == (explained.plan.block_m, 32)
    refused = asked("avx2", 256, micro_n=8, block_n=64)[1]
    assert not refused.fits
    assert any("19 vector registers of 16" in reason for reason in refused.reasons)
