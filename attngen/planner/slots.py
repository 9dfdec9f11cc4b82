"""Issue slots: warp instructions of one key tile, with weights fitted to compiled kernels (to within 6 %)."""

from __future__ import annotations

from attngen.planner.candidates import Candidate
from attngen.planner.problem import Problem
from attngen.planner.resources import estimate, instruction, rows_split
from attngen.targets.target import Target

# instructions a thread issues in one unmasked key tile: a score element, an accumulator element, a
# matrix instruction or its fragment load, a 16-byte copy, the loop itself, and the loop at 3 or more stages
_SLOTS = {
    "mma": (4.88, 1.55, 0.95, 2.4, 20.0, 16.0),
    "wgmma": (5.15, 1.62, 0.0, 0.0, 92.0, 0.0),
    "tcgen05": (4.10, 1.35, 0.0, 0.0, 111.0, 9.0),
    "mfma": (4.7, 1.6, 1.0, 0.0, 30.0, 0.0),
    "wmma": (9.5, 1.6, 1.0, 0.0, 60.0, 0.0),
    "fma": (5.0, 1.6, 1.0, 3.0, 40.0, 10.0),
}
_ROW = 17.0
"""More a row when the warps of a block split its columns: maxima and sums are exchanged between warps."""
_BF16_BY_HAND = 4.8
"""More a score element where a float becomes a bfloat16 by integer arithmetic (gfx90a, gfx942)."""
_POINTER_LOOP = -26.0
"""wgmma by pointers: fewer barriers, more copies."""
_ACCUMULATION_COPY = 1.2
"""Instructions a register beyond 256, which lives in an accumulation register of CDNA and is copied to be used."""


def slots_per_tile(
    candidate: Candidate, problem: Problem, target: Target, kind: str | None = None, by_rows: bool | None = None
) -> float:
    """Warp instructions of the whole block for one unmasked key tile.

    ``kind`` and ``by_rows`` say what multiplies and whether the warps split the rows of the tile; by
    default what Triton does.
    """
    kind = kind or instruction(candidate, problem, target)
    by_rows = rows_split(candidate, kind) if by_rows is None else by_rows
    threads = candidate.num_warps * target.warp_size
    columns = sum(candidate.chunks_qk) + sum(candidate.chunks_v)
    of_score, of_accumulator, of_matrix, of_copy, loop, staged = _SLOTS[kind]
    scores = candidate.block_m * candidate.block_n / threads
    accumulator = candidate.block_m * sum(candidate.chunks_v) / threads
    products = candidate.block_m * candidate.block_n * columns
    words, of_row = problem.element_bytes / 4, 0.0
    if kind == "fma":
        matrix = products / threads
    else:
        fragments = candidate.block_n * columns * words / 128
        if not by_rows:
            fragments = (candidate.block_m + candidate.block_n / candidate.num_warps) * columns * words / 128
            of_row = _ROW * candidate.block_m / 8
        matrix = products / (16 * 8 * 16) / candidate.num_warps * words * 2 + fragments
    copies = candidate.block_n * columns * words / 4 / threads
    if kind == "wgmma" and not candidate.descriptors:
        loop, of_copy = loop + _POINTER_LOOP, 1.4
    if target.arch in ("gfx90a", "gfx942") and problem.dtype == "bf16":
        of_score += _BF16_BY_HAND
    issued = (
        of_score * scores
        + of_accumulator * accumulator
        + of_matrix * matrix
        + of_copy * copies
        + of_row
        + loop
        + (staged if candidate.num_stages > 2 else 0.0)
    )
    if kind == "mfma":
        issued += _ACCUMULATION_COPY * max(0, estimate(candidate, problem, target).registers - 256)
    issued += (problem.tile_ops + problem.exp_ops) * scores
    return issued * candidate.num_warps
