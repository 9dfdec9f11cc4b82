"""What one tile of a kernel's inner loop asks of each pipe of a multiprocessor."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.planner.candidates import Candidate
from attngen.planner.problem import Problem
from attngen.planner.resources import instruction, rows_split
from attngen.planner.slots import slots_per_tile
from attngen.targets.target import Target

_LANES = {"mfma": 16}
"""Lanes of a scheduler where a wave is wider: an instruction of a 64-wide wave takes 4 cycles on 16 lanes."""
_FP32_OPS = 3.0
"""A score: scaled and less the maximum (one FMA), compared with the maximum, summed (arXiv:2603.05451)."""
_MMA_SYNC_SHARE, _MMA_SYNC_MOST = 0.63, 2600.0
"""mma.sync on sm_90 and later: that share of the rate, at most so many FLOPs a clock (arXiv:2407.08608, 2501.12084)."""
_L2_BYTES_PER_CLK = {"wgmma": 38.0, "tcgen05": 48.0, "mfma": 24.0}
_L2_PORT = 64.0
_L2_EFFICIENCY = 0.75


@dataclass(frozen=True, slots=True)
class Tile:
    """Cycles of one tile on each pipe, were it alone. ``masking``: issue cycles more where the tile is masked.

    ``kind``: what multiplies. ``warps`` and ``stages`` are the block's. ``is_backward``: of a backward loop.
    """

    kind: str
    warps: int
    stages: int
    matrix: float
    issue: float
    fp32: float
    exp: float
    shared: float
    l2: float
    masking: float
    is_backward: bool = False

    @property
    def pipes(self) -> tuple[tuple[str, float], ...]:
        return tuple((name, getattr(self, name)) for name in ("matrix", "issue", "fp32", "exp", "shared", "l2"))


def forward_tile(
    candidate: Candidate,
    problem: Problem,
    target: Target,
    blocks: int,
    kind: str | None = None,
    by_rows: bool | None = None,
) -> Tile:
    """One key tile of the forward loop. ``blocks`` of the launch share L2.

    ``kind`` and ``by_rows`` describe kernels that other compilers made (`slots_per_tile`).
    """
    kind = kind or instruction(candidate, problem, target)
    by_rows = rows_split(candidate, kind) if by_rows is None else by_rows
    rows, keys, size = candidate.block_m, candidate.block_n, problem.element_bytes
    columns = sum(candidate.chunks_qk) + sum(candidate.chunks_v)
    scores = rows * keys
    a_slot = target.warp_size / _LANES.get(target.mma, target.warp_size) / target.sub_partitions
    issued = slots_per_tile(candidate, problem, target, kind, by_rows)
    return Tile(
        kind=kind,
        warps=candidate.num_warps,
        stages=candidate.num_stages,
        matrix=2.0 * scores * columns / matrix_rate(problem, target, kind, rows),
        issue=issued * a_slot,
        fp32=((_FP32_OPS + problem.tile_ops) * scores + rows * sum(candidate.chunks_v)) / target.fma_per_clk,
        exp=scores * (1.0 + problem.exp_ops) / target.exp_per_clk,
        shared=_shared_bytes(candidate, problem, kind, by_rows) / target.smem_bytes_per_clk,
        l2=keys * columns * size / l2_rate(target, blocks),
        masking=problem.mask_ops * scores / target.warp_size * a_slot,
    )


def matrix_rate(problem: Problem, target: Target, kind: str, rows: int) -> float:
    """FLOPs a clock and multiprocessor of the product instruction ``kind`` on tiles of ``rows`` rows."""
    if kind == "fma" or not problem.tensor_cores:
        return target.fp32_rate
    rate = target.mma_rate(problem.mma_kind)
    if kind == "tcgen05" and rows < 128:
        return rate / 2
    if kind == "mma" and target.mma in ("wgmma", "tcgen05"):
        return min(rate * _MMA_SYNC_SHARE, _MMA_SYNC_MOST)
    return rate


def _shared_bytes(candidate: Candidate, problem: Problem, kind: str, by_rows: bool) -> float:
    """Bytes that the matrix instructions read from shared memory."""
    columns = sum(candidate.chunks_qk) + sum(candidate.chunks_v)
    tile = candidate.block_n * columns * problem.element_bytes
    if kind == "tcgen05":
        return tile + candidate.block_m * sum(candidate.chunks_qk) * problem.element_bytes
    if kind == "wgmma":
        # each instruction of 64 rows reads its own copy of the keys and values
        return candidate.block_m // 64 * tile + candidate.block_m * sum(candidate.chunks_qk) * problem.element_bytes
    if by_rows:
        return candidate.num_warps * tile
    # every warp reads all queries, and probabilities are written once and read by every warp
    operands = candidate.num_warps * candidate.block_m * sum(candidate.chunks_qk) * problem.element_bytes
    return tile + operands + (1 + candidate.num_warps) * candidate.block_m * candidate.block_n * problem.element_bytes


def l2_rate(target: Target, blocks: int) -> float:
    """L2 bytes a clock that one multiprocessor gets: its share, more when others are idle."""
    if target.l2_gbps:
        share = target.l2_gbps * 1e3 / (target.num_sms * target.boost_clock_mhz)
    else:
        share = _L2_BYTES_PER_CLK.get(target.mma, 20.0)
    idle = target.num_sms / min(target.num_sms, blocks)
    return min(_L2_PORT, _L2_EFFICIENCY * share * idle)
