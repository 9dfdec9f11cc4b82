"""What `explain` says of a CPU plan and its rivals."""

from __future__ import annotations

import attngen as ag
from attngen.planner.cpu import CpuPlan
from attngen.planner.overrides import CPU_CHOICES


def test_rivals_of_a_cpu_plan_are_priced_and_in_order() -> None:
    spec = ag.AttentionSpec("x", (8, 8), 64, mask=ag.causal() & ag.sliding_window(128))
    known = ag.explain(spec, "avx2", 2048, dtype="fp32")
    rivals = [rival for rival in known.rivals if isinstance(rival, CpuPlan)]
    times = [rival.predicted_us for rival in rivals]
    assert len(rivals) == 5 and times == sorted(times)
    assert known.costs[-1].us <= 1.05 * times[0]  # the tiles of the plan and of its rivals are counted alike
    assert known.plan is not None and known.plan.predicted_us > 0
    chosen = [tuple(getattr(plan, name) for name in CPU_CHOICES) for plan in (known.plan, *rivals)]
    assert len(set(chosen)) == len(chosen)
    assert "Rivals" in known.text and f"{rivals[0].q_tiles} of {rivals[0].block_m} x {rivals[0].block_n}" in known.text


def test_full_attention_takes_longer_than_a_window() -> None:
    spec = ag.AttentionSpec("x", (8, 8), 64, mask=ag.causal() & ag.sliding_window(128))
    for cost in ag.explain(spec, "avx512_bf16", 4096, dtype="bf16").costs[1:]:
        assert cost.us < cost.us_of_full_attention
