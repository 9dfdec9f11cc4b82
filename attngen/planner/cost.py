"""An analytic cost: cycles of one key tile on each pipe, put together, times the tiles there are."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.planner.candidates import Candidate
from attngen.planner.problem import Problem
from attngen.planner.resources import Usage, estimate, instruction, register_limit, rows_split
from attngen.targets.target import Target


@dataclass(frozen=True, slots=True)
class Cost:
    """``tile``: cycles a multiprocessor spends on one key tile of one block, all pipes together.

    ``pipes``: cycles if one pipe alone were the limit, by name. ``us``: the whole call.
    """

    us: float
    tile: float
    pipes: tuple[tuple[str, float], ...]
    limit: str


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
_LANES = {"mfma": 16}
"""Lanes of a scheduler where a wave is wider: an instruction of a 64-wide wave takes 4 cycles on 16 lanes."""
_POINTER_LOOP = -26.0
"""wgmma by pointers: fewer barriers, more copies."""
_L2_BYTES_PER_CLK = {"wgmma": 38.0, "tcgen05": 48.0, "mfma": 24.0}
_L2_PORT = 64.0
_L2_EFFICIENCY = 0.75
_WAIT = {"wgmma": 100.0, "tcgen05": 200.0}
_BARRIERS = 60.0
"""Cycles a tile waits: for an asynchronous matrix instruction before its softmax may start, else at barriers."""
_ACCUMULATION_COPY = 1.2
"""Instructions a register beyond 256, which lives in an accumulation register of CDNA and is copied to be used."""
_AT_THE_LIMIT = 1.03
"""What the few spills around the loop cost when the register estimate is beyond the limit."""
_LATENCY = 900.0
"""Cycles from a load of a tile to its arrival, under load."""


def slots_per_tile(candidate: Candidate, problem: Problem, target: Target) -> float:
    """Warp instructions of the whole block for one unmasked key tile."""
    kind = instruction(candidate, problem, target)
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
        if not rows_split(candidate, kind):
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


def tile_pipes(candidate: Candidate, problem: Problem, target: Target) -> dict[str, float]:
    """Cycles of one key tile on each pipe of a multiprocessor."""
    kind = instruction(candidate, problem, target)
    rows, keys, size = candidate.block_m, candidate.block_n, problem.element_bytes
    columns = sum(candidate.chunks_qk) + sum(candidate.chunks_v)
    flops = 2.0 * rows * keys * columns
    issue = slots_per_tile(candidate, problem, target)
    partial = problem.partial if problem.partial is not None else (0.05 if problem.masked else 0.0)
    issue += partial * problem.mask_ops * rows * keys / target.warp_size
    return {
        "matrix": flops / _matrix_rate(candidate, problem, target, kind),
        "issue": issue / target.sub_partitions * target.warp_size / _LANES.get(target.mma, target.warp_size),
        "exp": rows * keys * (1.0 + problem.exp_ops) / target.exp_per_clk,
        "shared": _shared_bytes(candidate, problem, kind) / target.smem_bytes_per_clk,
        "l2": keys * columns * size / _l2_rate(target, _blocks(candidate, problem)),
    }


def _matrix_rate(candidate: Candidate, problem: Problem, target: Target, kind: str) -> float:
    if kind == "fma" or not problem.tensor_cores:
        return target.fp32_rate
    rate = target.mma_rate(problem.mma_kind)
    if kind == "tcgen05" and candidate.block_m < 128:
        return rate / 2
    if kind == "mma" and target.mma in ("wgmma", "tcgen05"):
        return min(rate * 0.63, 2600.0)
    return rate


def _shared_bytes(candidate: Candidate, problem: Problem, kind: str) -> float:
    """Bytes that the matrix instructions read from shared memory."""
    columns = sum(candidate.chunks_qk) + sum(candidate.chunks_v)
    tile = candidate.block_n * columns * problem.element_bytes
    if kind == "tcgen05":
        return tile + candidate.block_m * sum(candidate.chunks_qk) * problem.element_bytes
    if kind == "wgmma":
        # each instruction of 64 rows reads its own copy of the keys and values
        return candidate.block_m // 64 * tile + candidate.block_m * sum(candidate.chunks_qk) * problem.element_bytes
    if rows_split(candidate, kind):
        return candidate.num_warps * tile
    # every warp reads all queries, and probabilities are written once and read by every warp
    operands = candidate.num_warps * candidate.block_m * sum(candidate.chunks_qk) * problem.element_bytes
    return tile + operands + (1 + candidate.num_warps) * candidate.block_m * candidate.block_n * problem.element_bytes


def _l2_rate(target: Target, blocks: int) -> float:
    """L2 bytes a clock that one multiprocessor gets: its share, more when others are idle."""
    if target.l2_gbps:
        share = target.l2_gbps * 1e3 / (target.num_sms * target.boost_clock_mhz)
    else:
        share = _L2_BYTES_PER_CLK.get(target.mma, 20.0)
    idle = target.num_sms / min(target.num_sms, blocks)
    return min(_L2_PORT, _L2_EFFICIENCY * share * idle)


def estimate_cost(candidate: Candidate, problem: Problem, target: Target, usage: Usage) -> Cost:
    """Time of the call when every multiprocessor works through its share of tiles."""
    pipes = tile_pipes(candidate, problem, target)
    blocks = _blocks(candidate, problem)
    resident = max(1, min(usage.occupancy, -(-blocks // target.num_sms)))
    tile = _tile_time(candidate, problem, target, pipes, resident)
    if usage.registers > register_limit(candidate, target):
        tile *= _AT_THE_LIMIT

    key_tiles = -(-problem.key_rows // candidate.block_n)
    kept = problem.kept if problem.kept is not None else _guess_kept(candidate, problem)
    # the way in and out of the loop is worth about two tiles
    share = blocks * (max(1.0, kept * key_tiles) + 2.0) / min(target.num_sms, blocks)
    compute_us = share * tile / (target.mma_clock_mhz or target.boost_clock_mhz)
    dram_us = _dram_bytes(problem) / (target.dram_gbps * 1e3)
    limit = "dram" if dram_us > compute_us else max(pipes, key=lambda name: pipes[name])
    # the two overlap, but not wholly
    us = max(compute_us, dram_us) + 0.1 * min(compute_us, dram_us)
    return Cost(us, tile, tuple(pipes.items()), limit)


def _tile_time(candidate: Candidate, problem: Problem, target: Target, pipes: dict[str, float], resident: int) -> float:
    """Cycles between two key tiles of one multiprocessor that holds ``resident`` blocks."""
    # each scheduler has its own part of the pipes, and a warp lives on one of them
    idle = max(1.0, target.sub_partitions / (resident * candidate.num_warps))
    # exponentials are issued by the same warps as the rest of the softmax, and overlap it only in part
    softmax = max(pipes["issue"], pipes["exp"]) + 0.35 * min(pipes["issue"], pipes["exp"])
    work = sorted([idle * pipes["matrix"], idle * softmax, pipes["shared"] * 0.5])
    # few warps run the pipes one after another, many overlap them, and a pipe that dwarfs the others hides them
    by_warps = min(0.4, (resident * candidate.num_warps - 4) / 40)
    overlap = max(by_warps, min(0.9, (work[-1] / work[-2] - 2) / 6), 0.0)
    tile = overlap * work[-1] + (1 - overlap) * sum(work)
    tile += _WAIT.get(instruction(candidate, problem, target), _BARRIERS)
    in_flight = (candidate.num_stages - 1) * tile * resident
    tile += max(0.0, _LATENCY - in_flight) / resident
    return max(tile, pipes["l2"], pipes["exp"], pipes["shared"])


def _blocks(candidate: Candidate, problem: Problem) -> int:
    heads = problem.definition.heads.kv if candidate.pack > 1 else problem.definition.heads.q
    return -(-problem.query_rows // (candidate.block_m // candidate.pack)) * heads * problem.batch


def _dram_bytes(problem: Problem) -> float:
    """Queries, keys, values and output once each."""
    heads, head_dim = problem.definition.heads, problem.definition.head_dim
    rows = heads.q * problem.query_rows + heads.kv * problem.key_rows
    return problem.batch * problem.element_bytes * (head_dim.qk + head_dim.v) * rows


def _guess_kept(candidate: Candidate, problem: Problem) -> float:
    """Share of key tiles visited when the schedule has not said: causal if there is a mask."""
    if not problem.masked or problem.pack > 1:
        return 1.0
    waste = (candidate.block_m / candidate.pack + candidate.block_n) / (2.0 * problem.key_rows)
    return min(1.0, 0.5 + waste)
