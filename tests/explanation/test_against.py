"""`against`: devices side by side, each as it explains itself; what nothing fits stands there with its numbers."""

from __future__ import annotations

import re

import pytest

import attngen as ag

CAUSAL = ag.AttentionSpec(name="c", heads=(8, 2), head_dim=64, mask=ag.causal())
WIDE = ag.AttentionSpec(name="wide", heads=4, head_dim=512, mask=ag.causal(), dtype="fp32")


def test_every_device_as_it_explains_itself() -> None:
    names = ("h100", "a100", "mi300x", "avx2")
    sides = ag.explain(CAUSAL, names[0], 2048, against=names[1:]).against
    assert len(sides) == 4
    for name, side in zip(names, sides, strict=True):
        alone = ag.explain(CAUSAL, name, 2048)
        assert alone.plan is not None
        assert (side.target, side.us, side.limit) == (alone.target, alone.costs[-1].us, alone.costs[-1].limit)
        assert side.choices is not None
        assert side.choices["block_m"] == alone.plan.block_m
        assert side.tflops * side.us * 1e6 == pytest.approx(alone.costs[-1].flops)
    assert sides[0].us < sides[1].us < sides[3].us


def test_a_pinned_plan_is_of_the_first_device_alone() -> None:
    first, second = ag.explain(CAUSAL, "h100", 1024, plan={"block_m": 16}, against=("a100",)).against
    assert first.choices is not None
    assert second.choices is not None
    assert first.choices["block_m"] == 16
    assert second.choices["block_m"] > 16


def test_a_refusal_has_its_numbers() -> None:
    explained = ag.explain(WIDE, "cpu", 128, against=("7900xtx", "mi300x"))
    refused = [side for side in explained.against if side.choices is None]
    assert refused
    for side in refused:
        assert any(re.search(r"= \d+( B)? > \d+", line) for line in side.refusal), side.refusal
        assert side.refusal[0] in explained.text
        assert side.us == 0.0
