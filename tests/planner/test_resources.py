"""The estimates against what compilers really made of several hundred kernels."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import pytest

from attngen.planner.candidates import Candidate
from attngen.planner.feasibility import judge
from attngen.planner.problem import Problem
from attngen.planner.resources import Usage, estimate, instruction
from attngen.planner.slots import slots_per_tile
from attngen.targets.load import find_target
from attngen.targets.target import Target
from tests.planner.kit import problem, table

Case = tuple[dict[str, str], Candidate, Problem, Target]


def sweep() -> list[Case]:
    """The sweep of one kernel per architecture, without the variant that masks every tile."""
    cases = []
    for row in table("forward_sweep.csv"):
        if row["kernel"] == "naive":
            continue
        dim = int(row["head_dim"])
        sizes = [int(row[name]) for name in ("block_m", "block_n", "num_warps", "num_stages")]
        candidate = Candidate(*sizes, 1, (dim,), (dim,), row["kernel"] == "desc_host")
        cases.append((row, candidate, problem(dim), find_target(row["arch"])))
    return cases


def compiled() -> list[Case]:
    """Kernels of many head dimensions, dtypes and vendors."""
    cases = []
    for row in table("compiled_kernels.csv"):
        chunks_qk, chunks_v = (tuple(map(int, row[name].split("+"))) for name in ("chunks_qk", "chunks_v"))
        sizes = [int(row[name]) for name in ("block_m", "block_n", "num_warps", "num_stages")]
        candidate = Candidate(*sizes, 1, chunks_qk, chunks_v, row["descriptors"] == "1")
        asked = problem(sum(chunks_qk), sum(chunks_v), row["dtype"], tf32=row["tf32"] == "1")
        cases.append((row, candidate, asked, find_target(row["arch"])))
    return cases


@cache
def judged() -> list[tuple[dict[str, str], bool, bool, Usage, str]]:
    """(row, warps repeat products, refused for registers, estimate, instruction) of every kernel."""
    out = []
    for row, candidate, asked, target in (*sweep(), *compiled()):
        verdict = judge(candidate, asked, target)
        repeats = any(reason.startswith("warps") for reason in verdict.reasons)
        refused = any(reason.startswith("registers") for reason in verdict.reasons)
        out.append((row, repeats, refused, verdict.usage, instruction(candidate, asked, target)))
    return out


def test_shared_memory_is_exact_to_a_kibibyte() -> None:
    for row, candidate, asked, target in (*sweep(), *compiled()):
        usage = estimate(candidate, asked, target)
        real = int(row["shared_kib"]) * 1024 if "shared_kib" in row else int(row["shared_bytes"])
        assert -64 <= usage.shared_bytes - real <= 1024, (row, usage.shared_sum)


def test_register_estimates_are_near() -> None:
    errors: dict[str, list[int]] = {}
    for row, repeats, _, usage, kind in judged():
        real = int(row["registers"])
        spilled = int(row.get("spill_bytes") or 4 * int(row.get("loop_spills", 0)))
        if not repeats and 32 < real < 250 and not spilled and kind != "fma":
            errors.setdefault(kind, []).append(usage.registers - real)
    assert set(errors) == {"mma", "wgmma", "tcgen05", "mfma", "wmma"}
    for kind, found in errors.items():
        rms = math.sqrt(sum(error * error for error in found) / len(found))
        assert rms < 30, f"{kind}: rms {rms:.1f} over {len(found)} kernels"


def test_no_kernel_that_spills_in_its_loop_passes() -> None:
    """Hundreds of bytes of a thread's stack are a loop that spills; a few are the way in and out."""
    missed = []
    for row, repeats, refused, _, kind in judged():
        in_loop = int(row["loop_spills"]) > 0 if "loop_spills" in row else int(row["spill_bytes"]) > 160
        if in_loop and not refused and not repeats and kind != "fma":
            missed.append(row)
    assert missed == []


def test_few_clean_kernels_are_refused() -> None:
    clean = refused_clean = 0
    for row, repeats, refused, _, kind in judged():
        spilled = int(row["spills"]) if "spills" in row else int(row["spill_bytes"])
        if not repeats and not spilled and kind != "fma":
            clean += 1
            refused_clean += refused
    assert clean >= 400
    assert refused_clean / clean < 0.04


def test_issue_slots_of_the_hot_loop() -> None:
    worst = 0.0
    for row, candidate, asked, target in sweep():
        repeats = any(reason.startswith("warps") for reason in judge(candidate, asked, target).reasons)
        if repeats or int(row["loop_spills"]):
            continue
        kiloflops = 4 * candidate.block_m * candidate.block_n * sum(candidate.chunks_v) / 1000
        real = float(row["slots_per_kflop"]) * kiloflops
        worst = max(worst, abs(slots_per_tile(candidate, asked, target) / real - 1))
    assert worst < 0.06


@pytest.mark.parametrize(("registers", "occupancy"), [(168, 3), (254, 2)])
def test_occupancy_as_the_driver_counts_it(registers: int, occupancy: int) -> None:
    usages = [
        (row, estimate(candidate, asked, target))
        for row, candidate, asked, target in sweep()
        if row["arch"] == "sm_80" and int(row["registers"]) == registers and row["num_warps"] == "4"
    ]
    near = [usage for row, usage in usages if int(row["occupancy"]) == occupancy]
    assert near
    assert all(abs(usage.occupancy - occupancy) <= 1 for usage in near)


def test_occupancy_is_limited_by_shared_memory() -> None:
    target = find_target("a100")
    few = Candidate(64, 64, 4, 1, 1, (64,), (64,), False)
    small, large = (estimate(candidate, problem(64), target) for candidate in (few, replace(few, num_stages=4)))
    held = target.smem_per_sm // (large.shared_bytes + target.smem_reserved_per_block)
    assert large.occupancy <= held < 4
    assert small.shared_bytes < large.shared_bytes
