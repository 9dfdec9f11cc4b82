"""The one predicate: every refusal carries its arithmetic, and known-bad plans are refused."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from attngen.planner.candidates import Candidate, head_chunks
from attngen.planner.feasibility import Verdict, judge
from attngen.planner.problem import Problem
from attngen.planner.resources import instruction, register_limit
from attngen.targets.load import find_target
from tests.planner.kit import problem


def ask(target: str, block_m: int, block_n: int, warps: int, stages: int, asked: Problem, **changes: object) -> Verdict:
    dim = asked.definition.head_dim
    row = find_target(target)
    wants = row.mma in ("wgmma", "tcgen05") and block_m >= 64 and asked.tensor_cores
    candidate = Candidate(block_m, block_n, warps, stages, 1, head_chunks(dim.qk), head_chunks(dim.v), wants)
    return judge(replace(candidate, **changes), asked, row)  # type: ignore[arg-type]


def test_a_wide_head_overflows_the_shared_memory_of_ampere_cards() -> None:
    # the default of FlexAttention for 192 columns, which fails at the launch there
    verdict = ask("sm_86", 64, 64, 4, 3, problem(192))
    assert not verdict.fits
    assert any("122880 B > 101376 B of a block on sm_86" in reason for reason in verdict.reasons)
    padded = ask("sm_86", 64, 64, 4, 3, problem(192), chunks_qk=(256,), chunks_v=(256,))
    assert any("= 172032 B > 101376 B" in reason for reason in padded.reasons)


@pytest.mark.parametrize("dim", [64, 128])
def test_hopper_refuses_128_by_128_with_4_warps(dim: int) -> None:
    verdict = ask("sm_90", 128, 128, 4, 3, problem(dim))
    assert verdict.fits
    assert not verdict.ok
    assert any("wait after every instruction" in reason for reason in verdict.reasons)
    assert any(re.search(r"= \d+ > 255 of a thread", reason) for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("target", "tile", "dim"),
    [
        ("sm_80", (128, 64, 4), 128),
        ("sm_80", (128, 128, 4), 64),
        ("sm_80", (128, 128, 4), 128),
        ("sm_100", (128, 128, 4), 64),
        ("sm_100", (128, 64, 4), 128),
        ("sm_120", (128, 128, 4), 64),
        ("gfx942", (128, 128, 8), 128),
    ],
)
def test_known_spill_cliffs(target: str, tile: tuple[int, int, int], dim: int) -> None:
    verdict = ask(target, *tile, 2, problem(dim))
    assert not verdict.ok
    assert any("spill" in reason or "repeat" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(("target", "held"), [("sm_80", 128), ("sm_120", 128), ("sm_90", 128), ("gfx942", 256)])
def test_warps_that_repeat_products(target: str, held: int) -> None:
    verdict = ask(target, 64, 64, 8, 2, problem(64))
    assert any(f"8 warps hold {held} rows" in reason and "tile has 64" in reason for reason in verdict.reasons)


def test_lds_of_64_kib() -> None:
    verdict = ask("mi300x", 128, 128, 4, 3, problem(128))
    assert any("131072 B > 65536 B of a block on gfx942" in reason for reason in verdict.reasons)
    assert ask("mi355x", 128, 128, 4, 3, problem(128)).fits


@pytest.mark.parametrize("target", ["a100", "mi300x"])
def test_descriptors_are_refused_where_there_are_none(target: str) -> None:
    verdict = ask(target, 64, 64, 4, 2, problem(64), descriptors=True)
    assert any("descriptors" in reason for reason in verdict.reasons)


def test_tensor_memory_of_blackwell() -> None:
    verdict = ask("b200", 64, 64, 8, 1, problem(512))
    assert any("512 accumulator + 64 score columns = 576 > 512" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"block_m": 8}, "block_m = 8"),
        ({"block_n": 48}, "block_n = 48"),
        ({"num_warps": 6}, "num_warps = 6"),
        ({"num_warps": 64}, "64 warps x 32 = 2048 > 1024"),
        ({"num_stages": 0}, "num_stages = 0"),
        ({"pack": 2}, "group of 4"),
    ],
)
def test_shapes_that_no_kernel_has(changes: dict[str, int], says: str) -> None:
    candidate = replace(Candidate(64, 64, 4, 2, 1, (64,), (64,), True), **changes)  # type: ignore[arg-type]
    verdict = judge(candidate, problem(64), find_target("h100"))
    assert not verdict.fits
    assert says in " ".join(verdict.reasons)


def test_a_good_plan_has_no_reasons() -> None:
    verdict = ask("h100", 128, 128, 8, 2, problem(128))
    assert verdict.ok
    assert verdict.fits
    assert verdict.reasons == ()


@pytest.mark.parametrize(
    ("target", "dtype", "tf32", "rows", "kind"),
    [
        ("a100", "bf16", False, 128, "mma"),
        ("h100", "bf16", False, 128, "wgmma"),
        ("h100", "bf16", False, 16, "mma"),
        ("b200", "fp16", False, 64, "tcgen05"),
        ("b200", "fp16", False, 32, "mma"),
        ("h100", "fp32", False, 128, "fma"),
        ("h100", "fp32", True, 128, "wgmma"),
        ("t4", "bf16", False, 64, "fma"),
        ("t4", "fp16", False, 64, "mma"),
        ("mi300x", "fp32", False, 64, "mfma"),
        ("7900xtx", "fp16", False, 64, "wmma"),
    ],
)
def test_what_multiplies(target: str, dtype: str, tf32: bool, rows: int, kind: str) -> None:
    candidate = Candidate(rows, 64, 4, 2, 1, (64,), (64,), False)
    assert instruction(candidate, problem(64, dtype=dtype, tf32=tf32), find_target(target)) == kind


@pytest.mark.parametrize(
    ("target", "warps", "limit"), [("a100", 4, 255), ("a100", 16, 128), ("mi300x", 4, 512), ("mi300x", 8, 256)]
)
def test_register_limits(target: str, warps: int, limit: int) -> None:
    assert register_limit(Candidate(64, 64, warps, 2, 1, (64,), (64,), False), find_target(target)) == limit


def test_score_terms_count() -> None:
    plain = ask("h100", 128, 128, 8, 2, problem(128)).usage.registers
    assert ask("h100", 128, 128, 8, 2, problem(128, tile_ops=4, has_row_vectors=True)).usage.registers > plain
