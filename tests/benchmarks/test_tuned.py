"""Tuned beside untuned: what is timed, and how the table says it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from attngen.language import toml
from benchmarks import tuned
from benchmarks.timing import Ratio


def test_without_a_decision_both_calls_take_one_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNGEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("ATTNGEN_TUNED", "0")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spec = toml.load(tuned.ROOT / "examples" / "packed_documents.toml")
    try:
        values = tuned.drawn(spec, 64)
        ratio, one, other = tuned.compared(spec, 64, values, 1)
    finally:
        torch.set_num_threads(threads)
    assert set(values) == {"doc_id"}
    assert one == other  # nothing was tuned
    assert ratio.median > 0


def test_the_table_says_which_plans_changed() -> None:
    ratio = Ratio(1.25, 1.2, 1.3)
    rows = [
        tuned.Row("a", 12.34, 5, "64 x 24, 2 x 6 x 6", "64 x 24, 2 x 6 x 6", Ratio(1, 1, 1), None),
        tuned.Row("b", 9, 7, "32 x 12, 1 x 6 x 6", "64 x 24, 2 x 6 x 6", ratio, Ratio(0.5, 0.5, 0.5)),
    ]
    first, second = tuned.table(rows, 1024, 3).splitlines()[-2:]
    assert first == "| a | 12.3 | 5 | 64 x 24, 2 x 6 x 6 | the same | 1.00 (1.00-1.00) | |"
    assert second.endswith("| 64 x 24, 2 x 6 x 6 | 32 x 12, 1 x 6 x 6 | 1.25 (1.20-1.30) | 0.50 (0.50-0.50) |")
