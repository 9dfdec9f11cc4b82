"""Plans for CPUs: defaults that fit, refusals that say why, choices of a person."""

from __future__ import annotations

from typing import Any

import pytest

import attngen as ag
from attngen import pipeline
from attngen.errors import PlanError
from attngen.planner.cpu import CpuPlan, choose_cpu_plan, refusals
from attngen.targets.cpu import CPUS, CpuTarget, best_cpu, find_cpu


def plan(cpu: CpuTarget, dtype: str = "fp32", seqlen_q: int | None = None, fixed: Any = None, **more: Any) -> CpuPlan:
    spec = ag.AttentionSpec("x", **({"heads": (8, 2), "head_dim": 128} | more))
    return choose_cpu_plan(pipeline.problem_of(spec, dtype, seqlen_q), cpu, fixed)


@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.arch)
@pytest.mark.parametrize("dtype", ["fp64", "fp32", "bf16", "fp16"])
@pytest.mark.parametrize("head_dim", [1, 33, 64, 256, (192, 128)])
@pytest.mark.parametrize("seqlen_q", [None, 1, 3, 7, 20])
def test_every_default_fits(cpu: CpuTarget, dtype: str, head_dim: Any, seqlen_q: int | None) -> None:
    for heads in (1, (8, 2), (71, 1), (6, 2)):
        made = plan(cpu, dtype, seqlen_q, heads=heads, head_dim=head_dim)
        assert made.lanes * (8 if dtype == "fp64" else 4) == cpu.vector_bytes
        assert made.block_q >= 1 and made.reasons
        assert not made.decode or made.block_m <= made.lanes


@pytest.mark.parametrize("blocks", [(16, 16), (32, 64), (128, 32), (64, 128)])
@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.arch)
def test_pinned_tiles_are_obeyed(cpu: CpuTarget, blocks: tuple[int, int]) -> None:
    made = plan(cpu, blocks=blocks)
    assert (made.block_q, made.block_n) == blocks


def test_few_queries_share_keys() -> None:
    cpu = find_cpu("avx512")
    assert cpu is not None
    decode = plan(cpu, seqlen_q=1)
    assert decode.decode and decode.pack == 4 and decode.block_m == 4
    few = plan(cpu, seqlen_q=10)
    assert not few.decode and few.pack == 4 and few.block_m % few.pack == 0
    assert plan(cpu, seqlen_q=1000).pack == 1


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"block_m": 40}, "no multiple of micro_m x lanes = 32"),
        ({"block_n": 60, "micro_n": 8}, "no multiple of micro_n = 8"),
        ({"micro_m": 2, "micro_n": 16}, "need 35 vector registers of 32"),
        ({"block_n": 0}, "0 is no size"),
        ({"block_n": 9, "micro_n": 3}, "is odd"),
        ({"warps": 3}, "unknown field `warps`"),
    ],
)
def test_refusals_say_why(fixed: dict[str, int], words: str) -> None:
    cpu = find_cpu("avx512")
    assert cpu is not None
    with pytest.raises(PlanError, match=words):
        plan(cpu, fixed=fixed)


def test_pairs_need_a_cpu_that_has_them() -> None:
    pairs, without = find_cpu("avx512_bf16"), find_cpu("avx512")
    assert pairs is not None and without is not None
    made = plan(pairs, "bf16")
    width = ag.HeadDim(128, 128)
    assert made.dot and not refusals(made, width, pairs)
    assert "has no products of bf16 pairs" in refusals(made, width, without)[0]


def test_choices_reach_the_text() -> None:
    spec = ag.AttentionSpec("x", heads=1, head_dim=64)
    made = pipeline.generate(spec, "avx512", dtype="fp32", plan={"block_n": 96, "micro_n": 6})
    assert made.plan.block_n == 96 and "constexpr int BLOCK_N = 96" in made.text
    assert "n += 6" in made.text


def test_cpus_are_found_by_name_and_by_features() -> None:
    assert [find_cpu(name).arch for name in ("cpu", "AVX-512", "x86-64-v2", "arm64", "zen4")] == [  # type: ignore[union-attr]
        "avx2", "avx512", "sse", "neon", "avx512_bf16",
    ]  # fmt: skip
    assert find_cpu("h100") is None
    assert best_cpu({"sse4_2", "ssse3"}) is find_cpu("sse")
    assert best_cpu({"avx2", "fma", "f16c", "bmi2", "sse4_2", "ssse3"}) is find_cpu("avx2")
    assert best_cpu({"sse2"}) is None


def test_gpus_have_no_kernels_of_doubles() -> None:
    with pytest.raises(PlanError, match="fp64"):
        pipeline.generate(ag.AttentionSpec("x", heads=1, head_dim=64), "h100", dtype="fp64")
