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
from benchmarks.contenders import DOCUMENTS, MASKS, Problem, contenders, decode_contenders, keep, pairs
from benchmarks.page import page
from benchmarks.timing import Ratio, interleaved

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

    times = interleaved({"a": busy("a", 0.01), "b": busy("b", 0.03)}, rounds=3, least_s=0.0)
    assert seen[4:] == ["a", "b", "b", "a", "a", "b"]
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
