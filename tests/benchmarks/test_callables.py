"""The table of callables counts the pairs of visited tiles, and names what a callable computes for each."""

from __future__ import annotations

import pytest
import torch

from benchmarks import callables
from tests.flex import masks


def test_own_arithmetic_is_named() -> None:
    specs = callables.specs()
    assert callables.own_arithmetic(specs["causal"]) == ""
    assert "2 gathers in the score" in callables.own_arithmetic(specs["graphormer_spatial"])
    assert "1 transcendental in the score" in callables.own_arithmetic(specs["tanh_softcap"])


def test_a_pair_is_a_pair_of_visited_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callables, "N", 256)
    monkeypatch.setattr(callables, "the_mods", dict)
    monkeypatch.setattr(
        callables, "the_masks", lambda: {"causal": masks.causal, "sliding_window": masks.sliding_window(256)}
    )
    threads = torch.get_num_threads()
    try:
        causal, window = callables.rows(["sliding_window"], 1)
    finally:
        torch.set_num_threads(threads)
    assert (causal.name, causal.ratio) == ("causal", 1.0)
    assert abs(causal.visited - window.visited) < 0.1  # the window is all of the sequence; tiles may be others
    assert 0.3 < window.ns / causal.ns < 3
