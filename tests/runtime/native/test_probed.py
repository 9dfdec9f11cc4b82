"""Stored rates of a machine are believed only when they are of this machine and make sense."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import attngen as ag
from attngen import pipeline
from attngen.planner.cpu import CpuPlan, choose_cpu_plan
from attngen.runtime.native import probed
from attngen.runtime.native.machine import Machine, processor
from attngen.runtime.request import Request
from attngen.targets.cpu import CPUS, CoreRates

CPU = next(cpu for cpu in CPUS if cpu.arch == "avx2")
HERE = Machine(processor(), "avx2", "g++ 12", 123.0, 0.0, 17.0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATTNGEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(probed, "measure", lambda arch: replace(HERE, arch=arch))
    return tmp_path / probed.FOLDER / "avx2.json"


def test_what_was_measured_is_found_again(store: Path) -> None:
    assert probed.stored_rates(CPU) is None
    probed.probe(CPU)
    found = probed.stored_rates(CPU)
    assert found is not None and (found.fma_gflops, found.dot_gflops, found.read_gbps) == (123.0, 0.0, 17.0)
    assert processor() in found.source


@pytest.mark.parametrize(
    "change",
    [
        {"processor": "another"},
        {"arch": "sse"},
        {"fma_gflops": -1.0},
        {"fma_gflops": float("nan")},
        {"read_gbps": "17"},
        {"read_gbps": 1e300},
        {"read_gbps": True},
        {"dot_gflops": 5.0},
        {"fma_gflops": [1]},
    ],
    ids=str,
)
def test_other_rates_are_not_believed(store: Path, change: dict[str, Any]) -> None:
    probed.probe(CPU)
    store.write_text(json.dumps(asdict(HERE) | change))
    assert probed.stored_rates(CPU) is None


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"arch": "avx2"}', "\udcff"])
def test_damaged_files_are_none(store: Path, text: str) -> None:
    probed.probe(CPU)
    store.write_bytes(text.encode(errors="surrogateescape"))
    assert probed.stored_rates(CPU) is None


def test_a_link_is_not_followed(store: Path, tmp_path: Path) -> None:
    probed.probe(CPU)
    other = tmp_path / "other.json"
    store.rename(other)
    store.symlink_to(other)
    assert probed.stored_rates(CPU) is None


def test_kernels_are_planned_with_them(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are compiled here; what `generate` writes is the same everywhere."""
    seen: list[CoreRates | None] = []

    def choose(*args: Any, rates: CoreRates | None = None) -> CpuPlan:
        seen.append(rates)
        return choose_cpu_plan(*args)

    monkeypatch.setattr(pipeline, "choose_cpu_plan", choose)
    probed.probe(CPU)
    spec = ag.AttentionSpec("x", heads=1, head_dim=16)
    ag.compile(spec, backend="cpu", target="avx2").variant.emit(Request("fp32", "avx2", False))
    pipeline.generate(spec, "avx2")
    assert [rates and rates.fma_gflops for rates in seen] == [123.0, None]
