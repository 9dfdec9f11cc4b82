"""The one predicate that says whether a candidate fits a target, and with which arithmetic it does not."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.planner.candidates import Candidate, is_power_of_two
from attngen.planner.problem import Problem
from attngen.planner.resources import Usage, estimate, instruction, register_limit, rows_per_warp, rows_split
from attngen.targets.target import Target

TMEM_COLUMNS = 512
_SPILL_SLACK = {"mma": 32, "wgmma": 20, "tcgen05": 5, "mfma": -24, "wmma": 32, "fma": -16}
"""How far above the limit an estimate may be: where the compiled kernels with a spill in their loop begin."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``ok``: may be chosen. ``fits``: would at least run (``ok`` may still fail for spills or wasted work).

    ``reasons``: one line with the arithmetic for each rule that failed.
    """

    ok: bool
    fits: bool
    reasons: tuple[str, ...]
    usage: Usage


def judge(candidate: Candidate, problem: Problem, target: Target) -> Verdict:
    """Whether ``candidate`` may be used for ``problem`` on ``target``; every failed rule gives its numbers."""
    usage = estimate(candidate, problem, target)
    kind = instruction(candidate, problem, target)
    hard = [*_shape_rules(candidate, problem), *_capacity_rules(candidate, target, usage, kind)]
    soft = [*_warp_rules(candidate, kind), *_spill_rules(candidate, target, usage, kind)]
    return Verdict(not hard and not soft, not hard, (*hard, *soft), usage)


def _shape_rules(candidate: Candidate, problem: Problem) -> list[str]:
    failed = []
    for name, size in (("block_m", candidate.block_m), ("block_n", candidate.block_n)):
        if not is_power_of_two(size) or size < 16:
            failed.append(f"{name} = {size}: a dot needs a power of two of at least 16")
    if not is_power_of_two(candidate.num_warps):
        failed.append(f"num_warps = {candidate.num_warps}: a power of two is needed")
    if candidate.num_stages < 1:
        failed.append(f"num_stages = {candidate.num_stages}: at least 1")
    group = problem.definition.heads.group
    if candidate.pack > 1 and (candidate.block_m % candidate.pack or candidate.pack < group):
        failed.append(
            f"pack = {candidate.pack}: it must divide block_m = {candidate.block_m} and hold the group of {group}"
        )
    return failed


def _capacity_rules(candidate: Candidate, target: Target, usage: Usage, kind: str) -> list[str]:
    failed = []
    limit = target.smem_per_block
    if usage.shared_bytes > limit:
        failed.append(
            f"shared memory: {usage.shared_sum} = {usage.shared_bytes} B > {limit} B of a block on {target.arch}"
        )
    threads = candidate.num_warps * target.warp_size
    if threads > 1024:
        failed.append(f"threads: {candidate.num_warps} warps x {target.warp_size} = {threads} > 1024 of a block")
    if candidate.descriptors and not target.tensor_descriptors:
        failed.append(f"descriptors: {target.arch} has none (NVIDIA sm_90 and later do)")
    if candidate.descriptors and max(candidate.chunks_qk + candidate.chunks_v) > 256:
        failed.append("descriptors: a box holds at most 256 columns")
    if kind == "tcgen05":
        accumulator, scores = sum(candidate.chunks_v), candidate.block_n
        if accumulator + scores > TMEM_COLUMNS:
            failed.append(
                f"tensor memory: {accumulator} accumulator + {scores} score columns "
                f"= {accumulator + scores} > {TMEM_COLUMNS}"
            )
    return failed


def _warp_rules(candidate: Candidate, kind: str) -> list[str]:
    """Warps that would repeat each other's products or idle, and the tile that ptxas serialises."""
    warps, rows = candidate.num_warps, candidate.block_m
    repeat = f"warps: {warps} warps hold {{held}} {{what}} of {kind}, the tile has {{has}}: products would repeat"
    if rows >= 64 and warps < 4:
        return [f"warps: {warps} leave {4 - warps} of 4 schedulers idle for a tile of {rows} rows"]
    if kind in ("wgmma", "tcgen05"):
        held = 64 * (warps // 4)
        if rows < held:
            return [repeat.format(held=held, what="rows", has=rows)]
        if kind == "wgmma" and rows >= 128 and warps == 4 and candidate.block_n >= 128:
            return [f"wgmma: {rows}x{candidate.block_n} with 4 warps makes ptxas wait after every instruction"]
    elif kind == "fma":
        pass  # threads, not warps, own the elements
    elif rows >= 64 or (kind == "mma" and rows_split(candidate, kind)):
        held = rows_per_warp(kind) * warps
        if rows < held:
            return [repeat.format(held=held, what="rows", has=rows)]
    else:
        held, columns = 8 * warps, min(candidate.block_n, *candidate.chunks_v)
        if columns < held:
            return [repeat.format(held=held, what="columns", has=columns)]
    return []


def _spill_rules(candidate: Candidate, target: Target, usage: Usage, kind: str) -> list[str]:
    limit = register_limit(candidate, target)
    # warps that split columns hold all rows, and spill from the limit on (64x32 of 256 columns on sm_80 at 266)
    strict = kind == "mma" and (candidate.block_m < 64 or not rows_split(candidate, kind))
    if usage.registers <= limit + (0 if strict else _SPILL_SLACK.get(kind, 0)):
        return []
    return [f"registers: {usage.register_sum} = {usage.registers} > {limit} of a thread, so the loop would spill"]


def overlap_bytes(candidate: Candidate, problem: Problem, target: Target, usage: Usage) -> int:
    """Shared memory of one more V tile, if P V of a tile can run during the exponentials of the next; else 0.

    On wgmma the products are asynchronous, so a loop that issues P V before its softmax hides them behind it
    (Shah et al. 2024, FlashAttention-3, section 3.2; here across iterations). P stays in registers meanwhile.
    """
    if instruction(candidate, problem, target) != "wgmma" or not candidate.descriptors:
        return 0
    weights = candidate.block_m * candidate.block_n // (2 * candidate.num_warps * target.warp_size)
    values = candidate.block_n * sum(candidate.chunks_v) * problem.element_bytes
    fits = usage.shared_bytes + values <= target.smem_per_block
    return values if fits and usage.registers + weights <= register_limit(candidate, target) else 0
