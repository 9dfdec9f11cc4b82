"""An analytic cost: cycles of a tile on each pipe, put together, times the tiles of the busiest multiprocessor.

`docs/cost-model.md` has the formulas, where each constant comes from, and how far predictions of devices that
the fit has not seen are off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attngen.planner.candidates import Candidate
from attngen.planner.constants import Constants, fitted
from attngen.planner.pipes import Tile, forward_tile
from attngen.planner.problem import Problem
from attngen.planner.resources import Usage, register_limit
from attngen.planner.waves import Work, least_span, makespan, rectangle
from attngen.targets.target import Target


@dataclass(frozen=True, slots=True)
class Cost:
    """``tile``: cycles a multiprocessor spends on one unmasked key tile of one block, all pipes together.

    ``pipes``: cycles if one pipe alone were the limit, by name. ``us``: the whole call.
    """

    us: float
    tile: float
    pipes: tuple[tuple[str, float], ...]
    limit: str


Span = Callable[[Sequence[float], int, int], float]
"""(durations, times, slots) -> when the last block ends, as `makespan`."""
ASYNCHRONOUS = ("wgmma", "tcgen05")
_AT_THE_LIMIT = 1.02
"""What the few spills around the loop cost when the register estimate is beyond the limit."""
_LATENCY = 900.0
"""Cycles from a load of a tile to its arrival, under load (measured on B200: 1100 for cp.async, less elsewhere)."""
LAUNCH_US = 4.0
"""A launch, as seen by the next one."""
_DRAM_EFFICIENCY = 0.9
"""Measured of the data sheet's: A100 0.87, H100 0.90, B200 0.95."""
_FILL = 1.5
"""Tiles' worth of time that the first product and the last one of a block run alone."""
_BY_WARPS = 0.12
"""How the overlap grows with the warps of a scheduler. Not fitted: so tile sizes rank as compile sweeps have them."""
_WAIT, _WAIT_ASYNCHRONOUS = 160.0, 100.0
"""Cycles of a tile at barriers, and for a product before its softmax may start. Timings of whole kernels do not tell
these from the overlap, so they are not fitted: between 140 and 180 the best tiles of the compile sweeps win."""
_MEMORY_SERIAL = 0.1
"""Share of the shorter of memory and compute time that the longer does not hide."""


def tile_cycles(tile: Tile, resident: int, target: Target, fit: Constants, masked: bool = False) -> float:
    """Cycles between two tiles of one multiprocessor that holds ``resident`` blocks."""
    # each scheduler has its own part of the pipes, and a warp lives on one of them
    idle = max(1.0, target.sub_partitions / (resident * tile.warps))
    # exponentials are issued by the same warps as the rest of the softmax, and overlap it only in part
    issue = max(tile.issue + (tile.masking if masked else 0.0), tile.fp32)
    softmax = max(issue, tile.exp) + fit.softmax_serial * min(issue, tile.exp)
    if tile.kind in ASYNCHRONOUS:
        exponent, wait = fit.overlap_async, _WAIT_ASYNCHRONOUS
    else:
        exponent, wait = fit.overlap * max(1.0, resident * tile.warps / target.sub_partitions) ** _BY_WARPS, _WAIT
    if tile.is_backward:
        exponent, wait = fit.overlap_backward, wait + fit.wait_backward
    work = (idle * tile.matrix, idle * softmax, tile.shared)
    together = sum(pipe**exponent for pipe in work) ** (1.0 / exponent) + wait
    cycles: float = max(together, tile.l2)
    # what is not on its way when the tile before begins is waited for; one stage has nothing on its way
    in_flight = (tile.stages - 1) * cycles * resident
    return cycles + max(0.0, _LATENCY - in_flight) / resident


def resident_blocks(occupancy: int, blocks: int, target: Target) -> int:
    """Blocks that a multiprocessor really holds: fewer than would fit when there are not enough."""
    return max(1, min(occupancy, -(-blocks // target.num_sms)))


def kernel_us(
    tile: Tile,
    work: Work,
    occupancy: int,
    dram_bytes: float,
    target: Target,
    fit: Constants,
    *,
    slowdown: float = 1.0,
    clock_mhz: float = 0.0,
    span: Span = makespan,
) -> tuple[float, float, bool]:
    """(microseconds of one launch, cycles of an unmasked tile, whether memory is the limit)."""
    resident = resident_blocks(occupancy, work.blocks, target)
    full = tile_cycles(tile, resident, target, fit) * slowdown
    masked = tile_cycles(tile, resident, target, fit, masked=True) * slowdown if any(work.masked) else full
    durations = [
        resident * (full * (unmasked + _FILL) + masked * partly) + fit.prologue
        for unmasked, partly in zip(work.full, work.masked, strict=True)
    ]
    cycles = (span if work.exact else least_span)(durations, work.times, target.num_sms * resident)
    compute_us = cycles / (clock_mhz or target.load_clock_mhz)
    dram_us = memory_us(dram_bytes, target)
    us = max(compute_us, dram_us) + _MEMORY_SERIAL * min(compute_us, dram_us)
    return us + LAUNCH_US, full, dram_us > compute_us


def memory_us(dram_bytes: float, target: Target) -> float:
    return dram_bytes / (_DRAM_EFFICIENCY * target.dram_gbps * 1e3)


def estimate_cost(
    candidate: Candidate, problem: Problem, target: Target, usage: Usage, work: Work | None = None
) -> Cost:
    """Time of the call. ``work``: the tiles that there really are; else they are guessed from the lengths."""
    work = work or guess_work(candidate, problem)
    tile = forward_tile(candidate, problem, target, work.blocks)
    slowdown = _AT_THE_LIMIT if usage.registers > register_limit(candidate, target) else 1.0
    us, cycles, is_memory = kernel_us(
        tile, work, usage.occupancy, dram_bytes(problem), target, fitted(), slowdown=slowdown
    )
    limit = "dram" if is_memory else _limit(tile, cycles)
    return Cost(us, cycles, tile.pipes, limit)


def _limit(tile: Tile, cycles: float) -> str:
    """The longest pipe. L2 overlaps with all of them, so it counts only where it is the time of the tile."""
    pipes = [pipe for pipe in tile.pipes if pipe[0] != "l2" or pipe[1] >= cycles]
    return max(pipes, key=lambda pipe: pipe[1])[0]


def every_tile(candidate: Candidate, problem: Problem) -> Work:
    """The work of full attention: every block visits all key tiles."""
    heads = problem.definition.heads.kv if candidate.pack > 1 else problem.definition.heads.q
    rows = -(-problem.query_rows // (candidate.block_m // candidate.pack))
    return rectangle(rows, -(-problem.key_rows // candidate.block_n), heads * problem.batch)


def guess_work(candidate: Candidate, problem: Problem) -> Work:
    """Without a mask exact, if the lengths are known. With one, half of the tiles, as if it were causal."""
    every = every_tile(candidate, problem)
    if not problem.masked and problem.seqlen_q is not None:
        return every
    kept, partial = 1.0, 0.05 if problem.masked else 0.0
    if problem.masked and problem.pack == 1:
        waste = (candidate.block_m / candidate.pack + candidate.block_n) / (2.0 * problem.key_rows)
        kept = min(1.0, 0.5 + waste)
    visited = max(1.0, kept * every.full[0])
    return Work((visited * (1 - partial),), (visited * partial,), every.blocks, exact=False)


def dram_bytes(problem: Problem) -> float:
    """Queries, keys, values and output once each."""
    heads, head_dim = problem.definition.heads, problem.definition.head_dim
    rows = heads.q * problem.query_rows + heads.kv * problem.key_rows
    return problem.batch * problem.element_bytes * (head_dim.qk + head_dim.v) * rows
