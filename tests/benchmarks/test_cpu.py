"""The benchmark measures what it says, refuses wrong results, and its page has the numbers of its record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from attngen.runtime.native.machine import measure, processor
from benchmarks import cpu
from benchmarks.contenders import DOCUMENTS, MASKS, Problem, contenders, decode_contenders, inputs, keep, pairs
from benchmarks.page import page
from benchmarks.timing import Ratio, Times, interleaved

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mask", MASKS)
def test_contenders_compute_the_same(mask: str) -> None:
    problem = Problem(mask, "fp32", 64, 200)
    calls = contenders(problem, flex=False)
    assert set(calls) == {"ours", "eager"} | ({"sdpa"} if mask != "softcap" else set())
    cpu.agree(problem, calls)


def test_contenders_of_decoding_compute_the_same() -> None:
    problem = Problem("full", "fp32", 64, 300, (32, 8), 1)
    cpu.agree(problem, decode_contenders(problem))


def test_a_wrong_result_is_not_timed() -> None:
    problem = Problem("causal", "fp32", 64, 100)
    calls = contenders(problem, flex=False)
    right = calls["sdpa"]
    calls["sdpa"] = lambda: right() + 1e-3  # type: ignore[operator]
    with pytest.raises(SystemExit, match=r"sdpa differs by 1\.0e-03, nothing is reported"):
        cpu.agree(problem, calls)
    calls["sdpa"] = lambda: right() * torch.nan  # type: ignore[operator]
    with pytest.raises(SystemExit, match="sdpa differs by nan"):
        cpu.agree(problem, calls)


@pytest.mark.parametrize("mask", MASKS)
def test_flops_are_those_of_kept_pairs(mask: str) -> None:
    problem = Problem(mask, "fp32", 64, 700)
    kept = keep(problem)
    assert pairs(problem) == (700**2 if kept is None else int(kept.sum()))
    assert DOCUMENTS == 8


def test_rounds_are_interleaved_and_rotated() -> None:
    seen: list[str] = []

    def busy(name: str, seconds: float) -> Any:
        def call() -> None:
            seen.append(name)
            end = time.process_time() + seconds
            while time.process_time() < end:
                pass

        return call

    calls, beside = {"a": busy("a", 0.01), "b": busy("b", 0.03)}, {"a": busy("beside", 0.05)}
    times = interleaved(calls, rounds=3, least_s=0.0, beside=beside)
    assert seen[4:] == ["a", "beside", "b", "b", "a", "beside", "a", "beside", "b"]
    ratio = Ratio.of(times["b"].cpu, times["a"].cpu)
    assert 2.5 < ratio.median < 3.5
    assert ratio.low <= ratio.median <= ratio.high


def test_the_probe_of_the_machine() -> None:
    machine = measure()
    assert machine.processor == processor()
    assert 1 < machine.fma_gflops < 2000
    assert 0.5 < machine.read_gbps < 2000
    assert machine.peak("fp64", False) == machine.fma_gflops / 2
    assert machine.peak("bf16", True) == (machine.dot_gflops or machine.fma_gflops)
    assert measure() is machine, "once a process"


@pytest.mark.parametrize("problem", [Problem("causal", "fp32", 64, 200), Problem("full", "fp32", 64, 300, (32, 8), 1)])
def test_shares_are_of_what_is_measured_beside_our_turns(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of multiply-adds where there are many queries, of reading where there is one."""
    asked, rates = [], iter([50.0, 100.0, 200.0])

    def rate(name: str) -> float:
        asked.append(name)
        return next(rates)

    monkeypatch.setattr(cpu, "rate_now", rate)
    # rounds as long as each other, so that the median is that of the middle rate
    monkeypatch.setattr(cpu, "interleaved", _steady)
    made = cpu.row(problem, {"ours": lambda: cpu.attend(problem)(*inputs(problem))}, 3)
    assert asked == ["read" if problem.queries == 1 else "fma"] * 3
    done = made.gbps if problem.queries == 1 else made.gflops
    assert made.share == pytest.approx(done / 100.0)


def _steady(calls: Any, rounds: int, beside: Any) -> dict[str, Times]:
    for _ in range(rounds):
        beside["ours"]()
    return {name: Times((0.25,) * rounds, (0.25,) * rounds) for name in calls}


def test_a_run_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from pathlib import Path; from benchmarks import cpu;"
        "cpu.RECORD, cpu.PAGE = Path('r.json'), Path('p.md'); cpu.main()"
    )
    options = "--lengths 128 --dims 64 --dtypes fp32 --masks causal --rounds 2 --no-flex --no-decode --write"
    done = subprocess.run(
        [sys.executable, "-c", code, *options.split()], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "r.json").read_text())
    text = (tmp_path / "p.md").read_text()
    assert text == page(record)
    (row,) = record["forward"]
    assert record["threads"]["same_bits"] is True
    assert f"{row['gflops']:.0f} | {row['share']:.0%}" in text
    assert f"{row['ratios']['sdpa'][0]:.2f} (" in text
    assert "Load" in text
