"""What a target makes of a kernel: cycles of a loop on each pipe, and blocks on a multiprocessor."""

from __future__ import annotations

from dataclasses import dataclass, replace

from attngen.machine_code.instruction import Category, Pipe
from attngen.machine_code.loops import Loop
from attngen.targets.target import Target

ALU_LANES = 64.0
"""Lanes of the integer and comparison units of a multiprocessor, a clock: 16 a partition on every target here."""


def with_rates(loop: Loop, target: Target, num_warps: int, mma_kind: str, tile_flops: int) -> Loop:
    """The loop with its cycles a pass and its issue slots per 1000 tensor FLOPs.

    ``tile_flops`` stands in where the code does not show the shape of its products (tcgen05 with a
    descriptor that is computed, or a partition of warps that only exponentiates).
    """
    flops = loop.flops
    if loop.main and not loop.decoded and target.mma == "tcgen05":
        flops = tile_flops
    threads = num_warps * target.warp_size
    pipes = dict(loop.pipes)
    lanes = {Pipe.EXP.value: target.exp_per_clk, Pipe.FMA.value: target.fma_per_clk, Pipe.ALU.value: ALU_LANES}
    cycles = {name: pipes.get(name, 0) * threads / rate for name, rate in lanes.items() if rate}
    rate = target.mma_rate(mma_kind)
    cycles[Pipe.MATRIX.value] = flops / rate if rate else 0.0
    cycles["issue"] = _issued(loop, target) * num_warps / target.sub_partitions
    return replace(
        loop,
        flops=flops,
        cycles=tuple(sorted(cycles.items(), key=lambda pair: -pair[1])),
        slots_per_kflop=loop.slots * num_warps / (flops / 1000) if flops else None,
    )


def _issued(loop: Loop, target: Target) -> float:
    """Cycles a scheduler is busy for one warp: one an instruction, four for a 64-wide one on 16 lanes."""
    if target.mma != "mfma":
        return loop.slots
    scalar = loop.count(Category.UNIFORM) + loop.count(Category.BRANCH) + loop.count(Category.WAIT)
    return 4.0 * (loop.slots - scalar - loop.count(Category.PRODUCT))


@dataclass(frozen=True, slots=True)
class Residency:
    """How many blocks fit a multiprocessor, and how many each resource alone would let in."""

    blocks: int
    by_registers: int
    by_shared: int
    by_threads: int


def residency(target: Target, registers: int, num_warps: int, shared_bytes: int) -> Residency:
    """``num_warps``: all warps of the block, those of other partitions too."""
    # registers are given out in eights for every thread of a warp, and a warp stays in its partition
    a_warp = max(1, -(-registers // 8)) * 8 * target.warp_size
    by_registers = target.regs_per_sm // target.sub_partitions // a_warp * target.sub_partitions // num_warps
    by_shared = target.smem_per_sm // max(1, shared_bytes + target.smem_reserved_per_block)
    if shared_bytes > target.smem_per_block:
        by_shared = 0
    by_threads = min(target.max_threads_per_sm // (num_warps * target.warp_size), target.max_blocks_per_sm)
    return Residency(min(by_registers, by_shared, by_threads), by_registers, by_shared, by_threads)
