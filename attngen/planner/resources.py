"""What a candidate needs of a multiprocessor: registers, shared memory, and how many blocks fit.

The estimates are sums of the fragments that a thread holds, with weights fitted to several hundred
kernels compiled for sm_80, sm_90, sm_100, sm_120 and gfx9 by Triton 3.7 and 3.9. A compiler at hand knows
better; these decide without one.
"""

from __future__ import annotations

from dataclasses import dataclass

from attngen.planner.candidates import Candidate
from attngen.planner.problem import Problem
from attngen.targets.target import Target

KIB = 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """``registers`` is not cut off at the limit; the sums are the arithmetic in words."""

    registers: int
    shared_bytes: int
    occupancy: int
    register_sum: str
    shared_sum: str


def instruction(candidate: Candidate, problem: Problem, target: Target) -> str:
    """What multiplies: fma, mma, wgmma, tcgen05, mfma or wmma. Below 64 rows Hopper and Blackwell use mma."""
    if not problem.tensor_cores:
        return "mfma" if target.mma_rate("fp32_mfma") else "fma"
    if not target.mma_rate(problem.mma_kind):
        return "fma"
    if target.mma in ("wgmma", "tcgen05") and candidate.block_m < 64:
        return "mma"
    return target.mma


def rows_split(candidate: Candidate, kind: str) -> bool:
    """Whether the warps split the rows of the tile, as Triton does for two chained dots of a tall tile.

    Otherwise they split its columns: each then holds all queries, and probabilities pass through shared memory.
    """
    return kind not in ("mma", "fma") or candidate.block_m >= min(candidate.chunks_v)


def rows_per_warp(kind: str) -> int:
    """Rows of the matrix instruction that one warp (wave) owns."""
    return 32 if kind == "mfma" else 16


def estimate(candidate: Candidate, problem: Problem, target: Target) -> Usage:
    """Registers a thread, shared memory a block, blocks a multiprocessor."""
    kind = instruction(candidate, problem, target)
    registers, register_sum = _registers(candidate, problem, target, kind)
    shared, shared_sum = _shared(candidate, problem, kind)
    return Usage(registers, shared, _occupancy(candidate, target, registers, shared), register_sum, shared_sum)


@dataclass(frozen=True, slots=True)
class _Fit:
    """Weights of the register sum. ``operand``: fragments of K or V that are loaded ahead of their use."""

    base: float
    scores: float
    accumulator: float
    queries: float
    pointers: float = 0.0
    chunk: float = 0.0
    operand: float = 0.0


_FITS = {
    "mma": _Fit(64, 1.0, 1.0, 1.0, pointers=0.5, chunk=12),
    "mma, columns split": _Fit(64, 1.0, 1.0, 0.4, pointers=0.5, chunk=12),
    "mma, few rows": _Fit(52, 1.0, 1.0, 1.0, pointers=0.9, chunk=12),
    "wgmma, descriptors": _Fit(16, 1.25, 0.87, 0.43),
    "wgmma, pointers": _Fit(17, 1.35, 0.92, 1.03, chunk=8),
    "tcgen05, descriptors": _Fit(3, 1.23, 1.01, 0.5),
    "tcgen05, pointers": _Fit(22, 1.14, 0.76, 1.03, chunk=8),
    "mfma": _Fit(60, 1.0, 1.0, 1.0, chunk=12, operand=1.5),
    # every operand of RDNA3's WMMA is held twice, once in each half of the wave
    "wmma": _Fit(76, 1.17, 1.0, 2.0, chunk=12, operand=2.0),
    # loosely: what ptxas hoists out of an unrolled product on FMA units varies by a factor of two
    "fma": _Fit(40, 3.0, 5.5, 0.0),
    "fma, one stage": _Fit(140, 3.0, 5.5, 0.0),
}


def _fit(candidate: Candidate, kind: str) -> _Fit:
    if kind in ("wgmma", "tcgen05"):
        return _FITS[f"{kind}, {'descriptors' if candidate.descriptors else 'pointers'}"]
    if kind == "mma" and candidate.block_m < 64:
        return _FITS["mma, few rows"]
    if kind == "mma" and not rows_split(candidate, kind):
        return _FITS["mma, columns split"]
    if kind == "fma" and candidate.num_stages == 1:
        return _FITS["fma, one stage"]
    return _FITS[kind]


def _registers(candidate: Candidate, problem: Problem, target: Target, kind: str) -> tuple[int, str]:
    fit = _fit(candidate, kind)
    threads = candidate.num_warps * target.warp_size
    words = problem.element_bytes / 4
    width_qk, width_v = sum(candidate.chunks_qk), sum(candidate.chunks_v)
    widest = max(*candidate.chunks_qk, *candidate.chunks_v)
    scores = candidate.block_m * candidate.block_n / threads
    copies = 0.0 if candidate.descriptors else candidate.block_n * (width_qk + width_v) * words * 4 / 16 / threads
    terms = {
        "accumulator": fit.accumulator * candidate.block_m * width_v / threads,
        "scores and probabilities": fit.scores * scores * (1 + words),
        "queries": fit.queries * candidate.block_m * width_qk * words / threads,
        "pointers": fit.pointers * 2 * copies,
        "key fragments": fit.operand * candidate.block_n * widest * words / target.warp_size,
        "chunks": fit.chunk * (len(candidate.chunks_qk) + len(candidate.chunks_v) - 2),
        # a hoisted vector is a few registers a thread, a longer score keeps a few temporaries alive
        "score terms": 8.0 * problem.has_row_vectors + 2.0 * min(problem.tile_ops, 8),
    }
    parts = [f"{fit.base:.0f} base", *(f"{value:.0f} {name}" for name, value in terms.items() if round(value))]
    return round(fit.base + sum(terms.values())), " + ".join(parts)


def _shared(candidate: Candidate, problem: Problem, kind: str) -> tuple[int, str]:
    size = problem.element_bytes
    queries = candidate.block_m * sum(candidate.chunks_qk) * size
    keys = candidate.block_n * sum(candidate.chunks_qk) * size
    values = candidate.block_n * sum(candidate.chunks_v) * size
    probabilities = candidate.block_m * candidate.block_n * size if _spreads(candidate, kind) else 0
    if kind in ("mfma", "wmma"):
        passing = candidate.block_m * max(candidate.chunks_qk) * size
        return _shared_amd(candidate, passing, keys, values, probabilities)
    # mma copies tiles ahead of their use, so one buffer fewer than stages; wgmma and tcgen05 read them in flight
    # and a single stage holds no more than the operand in use
    ahead = kind in ("wgmma", "tcgen05") and candidate.num_stages > 1
    buffers = candidate.num_stages if ahead else candidate.num_stages - 1
    if buffers:
        total = queries + buffers * (keys + values) + probabilities
        text = f"{queries} queries + {buffers} x ({keys} keys + {values} values)"
    else:
        total = queries + max(keys, values) + probabilities
        text = f"{queries} queries + {max(keys, values)} keys or values"
    if probabilities:
        text += f" + {probabilities} probabilities"
    if kind == "tcgen05" and candidate.num_stages == 1:
        total += 4 * KIB
        text += f" + {4 * KIB} row statistics"
    if candidate.descriptors or kind == "tcgen05" or (problem.dtype == "fp32" and probabilities):
        total += KIB
        text += f" + {KIB} {'padding' if probabilities else 'barriers'}"
    return total, text


def _spreads(candidate: Candidate, kind: str) -> bool:
    """Whether probabilities pass through shared memory because another warp needs them."""
    if kind in ("mfma", "wmma"):
        # in a tile of one MFMA's rows every wave makes all the probabilities itself
        least = rows_per_warp(kind) if kind == "mfma" else 0
        return least < candidate.block_m < rows_per_warp(kind) * candidate.num_warps
    return kind == "fma" or not rows_split(candidate, kind)


def _shared_amd(candidate: Candidate, queries: int, keys: int, values: int, probabilities: int) -> tuple[int, str]:
    """Queries stay in registers and only pass through, so the space is the larger of both uses."""
    buffers = candidate.num_stages - 1
    if buffers:
        loop = buffers * (keys + values) + probabilities
        text = f"{buffers} x ({keys} keys + {values} values)"
        text += f" + {probabilities} probabilities" if probabilities else ""
    else:
        loop = max(keys, values, probabilities)
        text = f"{loop} keys or values"
    return max(queries, loop), text if loop >= queries else f"{queries} queries in passing"


def _occupancy(candidate: Candidate, target: Target, registers: int, shared: int) -> int:
    threads = candidate.num_warps * target.warp_size
    a_warp = -(-min(registers, register_limit(candidate, target)) * target.warp_size // 256) * 256
    by_registers = target.regs_per_sm // target.sub_partitions // a_warp * target.sub_partitions // candidate.num_warps
    by_shared = target.smem_per_sm // max(1, shared + target.smem_reserved_per_block)
    return min(by_registers, by_shared, target.max_threads_per_sm // threads, target.max_blocks_per_sm)


def register_limit(candidate: Candidate, target: Target) -> int:
    """Registers a thread may have when one block is resident."""
    warps_a_partition = -(-candidate.num_warps // target.sub_partitions)
    a_partition = target.regs_per_sm // target.sub_partitions // target.warp_size
    return min(target.max_regs_per_thread, max(8, a_partition // warps_a_partition // 8 * 8))
