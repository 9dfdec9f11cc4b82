"""An analytic cost of a CPU plan: what one core does for a key tile, times the tiles, in slots.

A slot is the time in which a core starts one vector multiply-add. So the model needs one rate of a machine, its
multiply-adds, and for decoding a second one, its reading. `docs/plans.md` has the formulas and says how far
predictions are off on shapes that the fit has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

from attngen.language.definition import HeadDim
from attngen.planner.cpu.constants import CpuConstants
from attngen.planner.cpu.plan import CpuPlan
from attngen.planner.problem import Problem
from attngen.planner.waves import Work, makespan
from attngen.targets.cpu import CoreRates, CpuTarget

THREADS = 2
"""That the tiles of a call shall keep busy to its end. Only short calls with few heads are uneven."""
CROWD = 2.4
"""Slots more for a vector from behind the second-level cache when other cores are busy. Not fitted: beside other
programs full fp32 attention of 4096 tokens lost so much in tiles of 24 rows, and a third of it in those of 72."""

OVERLAP = 3.0
"""Exponent of the norm that puts arithmetic and reading of decoding together: the longer hides most of the other."""
PAGE, MOST_OFF = 4096, 2.0
"""Rows were fastest asked for a page of memory ahead, whatever their size: bytes; and the doublings that are priced."""


@dataclass(frozen=True, slots=True)
class CpuCost:
    """``us``: one call in one thread, alone on the machine. ``busy_us``: with other cores busy, and what threads wait
    for each other at the end in it; plans are ranked by that.

    ``parts``: slots of an unmasked key tile by what they go into; in decoding, microseconds of a key.
    """

    us: float
    busy_us: float
    parts: tuple[tuple[str, float], ...]

    @property
    def limit(self) -> str:
        return max(self.parts, key=lambda part: part[1])[0]


def micro_step(rows: int, keys: int, fit: CpuConstants) -> float:
    """Slots of one column of a micro-tile: its multiply-adds, its loads, or its sums' wait for themselves."""
    return _norm(fit.sharpness, float(rows * keys), float(rows + keys), fit.wait)


def _norm(power: float, *times: float) -> float:
    """The time of what goes on at once: near the longest, the more so the higher the power."""
    together: float = sum(time**power for time in times) ** (1.0 / power)
    return together


def tile_parts(
    plan: CpuPlan, problem: Problem, target: CpuTarget, rates: CoreRates, fit: CpuConstants
) -> dict[str, float]:
    """Slots of one unmasked key tile, by what they go into."""
    width = problem.definition.head_dim
    halved = _of_pairs(plan, rates)
    scores = plan.block_n / plan.micro_n * (width.qk * halved * micro_step(plan.micro_m, plan.micro_n, fit))
    whole, rest = divmod(width.v, plan.micro_d)
    values = whole * micro_step(plan.micro_m, plan.micro_d, fit)
    values += micro_step(plan.micro_m, rest, fit) if rest else 0.0
    micro_tiles = plan.block_n / plan.micro_n + whole + (rest > 0)
    vectors = plan.block_m * plan.block_n / plan.lanes
    keys = plan.block_n * (width.qk + width.v) / plan.lanes
    other = fit.widen * keys if plan.widened else fit.pair * plan.block_n * width.v / plan.lanes if plan.dot else 0.0
    each = fit.softmax + fit.operation * problem.tile_ops + fit.transcendental * problem.exp_ops
    return {
        "multiply-adds": plan.groups * (scores + values * halved * plan.block_n),
        "micro-tiles": _around(plan, width, fit, micro_tiles),
        "softmax": vectors * each,
        "conversion": other / plan.q_tiles,
        "caches": fit.near * spilled(plan, width, target) + fit.again * lost_lines(plan, width, target),
        "tile": fit.visit,
    }


def visit_slots(plan: CpuPlan, width: HeadDim, target: CpuTarget, fit: CpuConstants) -> float:
    """Those of a key tile that are the same for a short one."""
    outputs = _around(plan, width, fit, -(-width.v // plan.micro_d))
    return outputs + fit.near * _pushed_out(plan, width, target) + fit.visit


def _around(plan: CpuPlan, width: HeadDim, fit: CpuConstants, micro_tiles: float) -> float:
    """Slots around the products of all micro-tiles: sums that are waited for, outputs rescaled."""
    return plan.groups * (micro_tiles * fit.drain + plan.micro_m * width.v * fit.turn)


def _of_pairs(plan: CpuPlan, rates: CoreRates) -> float:
    """A product of bf16 pairs does two columns, or two keys, at once: the slots of one of them."""
    return rates.fma_gflops / rates.dot_gflops if plan.dot and rates.dot_gflops else 0.5 if plan.dot else 1.0


def spilled(plan: CpuPlan, width: HeadDim, target: CpuTarget) -> float:
    """Vectors that a key tile takes from the second-level cache, because all of it does not stay in the first: keys
    are new in every tile, the rest comes back as far as it was pushed out."""
    keys = plan.block_n * (width.qk + width.v) * plan.element_bytes
    return keys / plan.q_tiles / target.vector_bytes + _pushed_out(plan, width, target)


def lost_lines(plan: CpuPlan, width: HeadDim, target: CpuTarget) -> float:
    """Lines of values that every micro-tile of columns has to fetch anew. Each takes a few columns of all keys, and a
    line has some more for the next ones: it is there no more where the values of a tile fill the first-level cache."""
    if plan.block_n * width.v * (plan.real_bytes if plan.widened else plan.element_bytes) <= target.l1_bytes:
        return 0.0
    return float(plan.groups * -(-width.v // plan.micro_d) * plan.block_n)


def _pushed_out(plan: CpuPlan, width: HeadDim, target: CpuTarget) -> float:
    rows = plan.block_m * (width.qk + 2 * width.v + 2 * plan.block_n) * plan.real_bytes
    others = (plan.q_tiles - 1) * plan.block_m * (width.qk + width.v) * plan.real_bytes
    keys = plan.block_n * (width.qk + width.v)
    held = rows + others + keys * (plan.real_bytes if plan.widened else plan.element_bytes)
    kept = min(1.0, target.l1_bytes / held)
    return (1.0 - kept) * rows / target.vector_bytes


def estimate_cpu_cost(
    plan: CpuPlan, problem: Problem, target: CpuTarget, work: Work, keys: int, rates: CoreRates, fit: CpuConstants
) -> CpuCost:
    """Time of the call whose tiles of ``plan.grain`` keys are ``work``, of ``keys`` keys."""
    if plan.decode:
        return _decode(plan, problem, target, keys, rates, fit)
    width = problem.definition.head_dim
    parts = tile_parts(plan, problem, target, rates, fit)
    beyond = _beyond(plan, width, target, keys)
    parts["caches"] += fit.far * beyond
    together = plan.block_n // plan.grain
    visit = visit_slots(plan, width, target, fit)
    full = (sum(parts.values()) - visit) / together
    masked = full + fit.masking * problem.mask_ops * plan.block_m * plan.grain / plan.lanes
    once = fit.item + fit.row * plan.block_m * (width.qk + width.v) / plan.lanes

    def item(unmasked: float, cut: float) -> float:
        """Slots of a query tile. Unmasked grains that fill no tile are visited with the masked ones."""
        rest = unmasked % together if cut else 0.0
        visits = ceil((unmasked - rest) / together) + ceil((rest + cut) / together)
        return once + full * (unmasked - rest) + masked * (rest + cut) + visit * visits

    items = [item(*grains) for grains in zip(work.full, work.masked, strict=True)]
    alone = sum(items) * work.times
    uneven = max(1.0, max(items) * plan.q_tiles * THREADS / alone)
    crowd = CROWD * beyond / together * work.times * (sum(work.full) + sum(work.masked))
    slot = slot_us(plan, rates)
    return CpuCost(alone * slot + fit.call, (alone + crowd) * uneven * slot + fit.call, tuple(parts.items()))


def slot_us(plan: CpuPlan, rates: CoreRates) -> float:
    """Microseconds of one vector multiply-add."""
    lanes32 = plan.lanes * (2 if plan.dtype == "fp64" else 1)
    return 2 * lanes32 / (rates.fma_gflops * 1e3)


def _beyond(plan: CpuPlan, width: HeadDim, target: CpuTarget, keys: int) -> float:
    """Vectors of keys and values of a tile that come from behind the second-level cache."""
    row = (width.qk + width.v) * plan.element_bytes
    return (
        plan.block_n / plan.q_tiles * row / target.vector_bytes * max(0.0, 1.0 - target.l2_bytes / (2.0 * keys * row))
    )


def _octaves_off(ahead: float) -> float:
    """How far from a page of memory the distance of prefetching is: nearer rows come late, farther ones go lost."""
    return min(MOST_OFF, abs(log2(ahead / PAGE))) if ahead else MOST_OFF


def _decode(
    plan: CpuPlan, problem: Problem, target: CpuTarget, keys: int, rates: CoreRates, fit: CpuConstants
) -> CpuCost:
    """Few rows: each key is read from memory once, while the keys before it are used for all rows."""
    width, heads = problem.definition.head_dim, problem.definition.heads
    slot = slot_us(plan, rates)
    row_bytes = (width.qk + width.v) * plan.element_bytes
    vectors = (width.qk + width.v) / plan.lanes
    waited = fit.late * _octaves_off(plan.prefetch * row_bytes / 2.0)
    # while a tile goes into the output nothing new is read
    waited += fit.idle * plan.block_n * row_bytes / target.l1_bytes
    arithmetic = {
        "multiply-adds": fit.key * plan.block_m * vectors * _of_pairs(plan, rates) * slot,
        "conversion": (fit.widen * vectors if plan.widened else fit.pair * vectors if plan.dot else 0.0) * slot,
        "tile": fit.turn * plan.block_m * width.v / plan.lanes / plan.block_n * slot,
    }
    memory = fit.reading * row_bytes / (rates.read_gbps * 1e3) * (1.0 + waited)
    tiles = problem.batch * (heads.kv if plan.pack > 1 else heads.q) * -(-problem.query_rows // plan.block_q)
    splits = -(-keys // max(plan.block_n, plan.split_keys // plan.block_n * plan.block_n))
    each = keys / splits * _norm(OVERLAP, sum(arithmetic.values()), memory) + fit.split * slot
    uneven = makespan([each], tiles * splits, THREADS) * THREADS / (each * tiles * splits)
    us = each * tiles * splits
    return CpuCost(us + fit.call, us * uneven + fit.call, (*arithmetic.items(), ("memory", memory)))
