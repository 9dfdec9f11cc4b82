"""The table of first results has the seconds of both sides, and none if they computed something else."""

from __future__ import annotations

import pytest

from benchmarks import first
from benchmarks.first import Seconds

OURS = Seconds({"causal": 0.5, "alibi": 0.4}, {"causal": 0.031, "alibi": 0.02}, {"causal": 0.1, "alibi": 0.2})
FLEX = Seconds({"causal": 10.0, "alibi": 2.0}, {"causal": 3.0, "alibi": 0.5}, {"causal": 0.1, "alibi": 0.200001})


def test_the_table() -> None:
    text = first.table(OURS, FLEX)
    assert "| causal | 0.50 s | 10.00 s | 20.0 | 31 ms | 3.00 s |" in text
    assert "| alibi | 0.40 s | 2.00 s | 5.0 | 20 ms | 0.50 s |" in text
    assert "Geometric mean: 10.0 times sooner." in text


def test_other_results_are_not_reported() -> None:
    other = Seconds(FLEX.cold, FLEX.warm, {**FLEX.size, "alibi": 0.21})
    with pytest.raises(SystemExit, match=r"alibi: attngen gives 0\.2, FlexAttention 0\.21; nothing is reported"):
        first.table(OURS, other)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_sides_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uncompiled, FlexAttention computes the same with dense masks."""
    monkeypatch.setattr(first, "MASKS", ("prefix_lm",))
    monkeypatch.setattr(first, "SCORES", ("alibi",))
    monkeypatch.setattr("torch.compile", lambda function, **_: function)
    ours, flex = (first.first_results(side) for side in first.SIDES)
    assert list(ours) == list(flex) == ["prefix_lm", "alibi"]
    for name, (seconds, size) in ours.items():
        assert seconds > 0
        assert size == pytest.approx(flex[name][1], rel=1e-5)
