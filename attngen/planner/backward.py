"""One tile of a backward loop: keys stay, queries pass by (or the other way round).

Two ways are described. FlashAttention-2 has one loop with five products and adds dQ to memory
(arXiv:2307.08691, algorithm 2). Triton's tutorial has two loops, one for dK and dV and one for dQ, with
seven products in all, because each computes the scores anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from attngen.planner.constants import Constants
from attngen.planner.pipes import Tile, l2_rate
from attngen.targets.target import Target

_BYTES = 2
"""Of an element: these kernels are fp16 and bf16."""
_FLOPS_OF_MMA, _BYTES_OF_LDMATRIX = 4096, 512
_LOOP, _ACCUMULATOR = 20.0, 2.0
"""Instructions of the loop itself a warp, and of a dQ element that leaves the loop."""
_FP32_OPS, _MASK_OPS = 5.0, 2.0
"""A score: less the row's lse, dP less the row's delta, times P, two scalings; and where it is masked."""
_SECOND_LOOP = 1.4
"""Seven products read so much more than five."""


@dataclass(frozen=True, slots=True)
class BackwardShape:
    """Rows (queries) and keys of a tile; ``split_*``: how many warps share the rows of S, of dK and dV, and of dQ."""

    rows: int
    keys: int
    warps: int
    split_scores: int
    split_keys: int
    split_queries: int
    two_loops: bool = False


def backward_tile(shape: BackwardShape, head_dim: int, target: Target, kind: str, rate: float, fit: Constants) -> Tile:
    """The tile on each pipe. ``rate``: FLOPs a clock and multiprocessor of ``kind``."""
    rows, keys, warps = shape.rows, shape.keys, shape.warps
    scores = rows * keys
    products, loops = (7, 2) if shape.two_loops else (5, 1)
    flops = 2.0 * products * scores * head_dim
    read = _fragment_bytes(shape, head_dim) if kind in ("mma", "mfma") else _operand_bytes(shape, head_dim)
    read *= _SECOND_LOOP if shape.two_loops else 1.0
    of_score = fit.backward_slots_triton if shape.two_loops else fit.backward_slots
    slots = of_score * loops * scores / target.warp_size + _LOOP * warps
    slots += _ACCUMULATOR * rows * head_dim / target.warp_size
    if kind == "mma":
        slots += flops / _FLOPS_OF_MMA + read / _BYTES_OF_LDMATRIX
    # Q and dO are read; dQ is a float that is added to memory, or comes from a loop that reads K and V
    passing = 2 * rows * head_dim * _BYTES + rows * head_dim * (_BYTES if shape.two_loops else 8)
    return Tile(
        kind=kind,
        warps=warps,
        stages=2,
        matrix=flops / rate,
        issue=slots / target.sub_partitions,
        fp32=_FP32_OPS * loops * scores / target.fma_per_clk,
        exp=loops * scores / target.exp_per_clk,
        shared=read / target.smem_bytes_per_clk,
        l2=passing / l2_rate(target, 1 << 30),
        masking=_MASK_OPS * loops * scores / target.warp_size / target.sub_partitions,
        is_backward=True,
    )


def _fragment_bytes(shape: BackwardShape, head_dim: int) -> float:
    """mma reads both operands of its five products as fragments; P and dS are written and read on top."""
    rows, keys, warps = shape.rows, shape.keys, shape.warps

    def product(m: int, n: int, k: int, split: int) -> float:
        return warps * (m / split + n * split / warps) * k * _BYTES

    return (
        2 * product(rows, keys, head_dim, shape.split_scores)
        + 2 * product(keys, head_dim, rows, shape.split_keys)
        + product(rows, head_dim, keys, shape.split_queries)
        + 4 * rows * keys * _BYTES
    )


def _operand_bytes(shape: BackwardShape, head_dim: int) -> float:
    """wgmma and tcgen05 read operands where they lie (arXiv:2603.05451, section 3)."""
    rows, keys = shape.rows, shape.keys
    return float(4 * rows * head_dim + 3 * keys * head_dim + rows * keys) * _BYTES


def around_the_loop(heads: int, length: int, head_dim: int, two_loops: bool) -> tuple[float, int]:
    """(bytes, launches) before and after: O . dO of each row, and where dQ is summed as floats, their conversion."""
    elements = heads * length * head_dim
    if two_loops:
        return 2.0 * _BYTES * elements, 2
    return (2.0 * _BYTES + 4 + 4 + _BYTES) * elements, 3
