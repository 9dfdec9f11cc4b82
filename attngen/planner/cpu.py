"""Plans for CPUs: tiles, micro-tiles and vectors, from fixed choices that one feasibility function judges."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from attngen.errors import PlanError
from attngen.language.definition import Blocks, HeadDim
from attngen.planner.overrides import CPU_CHOICES, checked_overrides
from attngen.planner.problem import Problem
from attngen.targets.cpu import CpuTarget

PACKED_ROWS = 128
"""Up to this many (query, head) pairs the heads of a group are rows of one tile."""
LEAST_ROWS = 4
"""Of a decoding tile: fewer leave too little to do for each key, and short sums that wait for each other."""


@dataclass(frozen=True, slots=True)
class CpuPlan:
    """How one variant is cut for one CPU.

    A vector holds ``lanes`` reals. A query tile has ``block_m`` rows, a key tile ``block_n`` keys. The product
    with K goes by micro-tiles of ``micro_m`` vectors of rows by ``micro_n`` keys that stay in registers, the
    one with V by ``micro_m`` vectors by ``micro_d`` columns (in decoding: ``micro_d`` vectors of the output in
    all). With ``pack`` > 1 a row is a (query, head) pair. ``dot``: bf16 pairs are multiplied as they are;
    otherwise 16-bit keys and values are widened, a tile at a time. ``decode``: the kernel for few rows, which
    cuts the keys into splits of ``split_keys`` and asks for keys ``prefetch`` rows ahead. ``reasons``: one line
    each, for people.
    """

    target: str
    arch: str
    dtype: str
    lanes: int
    block_m: int
    block_n: int
    micro_m: int
    micro_n: int
    micro_d: int
    pack: int
    dot: bool
    decode: bool
    split_keys: int
    prefetch: int
    reasons: tuple[str, ...] = ()

    @property
    def block_q(self) -> int:
        """Queries a tile."""
        return self.block_m // self.pack


def choose_cpu_plan(problem: Problem, target: CpuTarget, fixed: Mapping[str, int] | None = None) -> CpuPlan:
    """The default plan with the choices of a person in it, or a PlanError that says why it does not fit."""
    chosen = checked_overrides(fixed, CPU_CHOICES) or {}
    plan = dataclasses.replace(_default(problem, target), **chosen)  # type: ignore[arg-type]  # names of sizes
    wrong = refusals(plan, problem.definition.head_dim, target)
    if wrong:
        raise PlanError(
            f"{problem.dtype} on {target.name}: {'; '.join(wrong)}", remedy="change or drop the pinned sizes"
        )
    return dataclasses.replace(plan, reasons=_reasons(plan, problem, target))


def _default(problem: Problem, target: CpuTarget) -> CpuPlan:
    definition, blocks = problem.definition, problem.blocks or Blocks()
    lanes = target.vector_bytes // (8 if problem.dtype == "fp64" else 4)
    micro_m, micro_n = (2, 8) if target.registers >= 32 else (2, 4)
    pack = _pack(problem)
    step = lanes * micro_m
    rows = blocks.q * pack if blocks.q is not None else 64
    if blocks.q is None and problem.seqlen_q is not None:
        rows = min(rows, problem.seqlen_q * pack)
    if blocks.q is None and definition.head_dim.qk + definition.head_dim.v > 320:
        rows = min(rows, 32)  # queries and output of a tile stay in the second-level cache
    rows = max(rows, pack)
    if rows <= lanes:
        micro_m, step = 1, lanes
    block_n = blocks.kv if blocks.kv is not None else 64
    if problem.seqlen_q is not None and (problem.seqlen_q * pack <= lanes or blocks.q is not None) and rows <= lanes:
        return _decode(problem, target, lanes, pack, rows)
    return CpuPlan(
        target=target.name,
        arch=target.arch,
        dtype=problem.dtype,
        lanes=lanes,
        block_m=rows if blocks.q is not None and pack == 1 and rows % step == 0 else -(-rows // step) * step,
        block_n=block_n,
        micro_m=micro_m,
        micro_n=next(size for size in (micro_n, 8, 6, 5, 4, 3, 2, 1) if size <= micro_n and block_n % size == 0),
        micro_d=micro_n,
        pack=pack,
        dot=problem.dtype == "bf16" and target.dot_bf16 and definition.head_dim.qk % 2 == 0 and block_n % 2 == 0,
        decode=False,
        split_keys=0,
        prefetch=0,
    )


def _decode(problem: Problem, target: CpuTarget, lanes: int, pack: int, rows: int) -> CpuPlan:
    """Few rows: a vector of scores holds them all, padded to a power of two, for as many keys as fit.

    Up to four rows cost the same: the keys have to come from memory.
    """
    rows = max(min(LEAST_ROWS, lanes), 1 << (rows - 1).bit_length())
    keys = lanes // rows
    pinned = problem.blocks.kv if problem.blocks is not None else None
    # the values of a tile are read once for every group of rows: after the first they shall come from L1
    # pairs of keys in a vector of scores, pairs of whole vectors of columns
    whole = problem.definition.head_dim.qk % (2 * lanes) == 0 and problem.definition.head_dim.v % (2 * lanes) == 0
    bytes_a_key = problem.definition.head_dim.v * problem.element_bytes
    block_n = pinned or min(64, max(16, 1 << (target.l1_bytes // 8 // bytes_a_key).bit_length() - 1))
    return CpuPlan(
        target=target.name,
        arch=target.arch,
        dtype=problem.dtype,
        lanes=lanes,
        block_m=rows,
        block_n=-(-block_n // keys) * keys,
        micro_m=1,
        micro_n=keys,
        micro_d=16 if target.registers >= 32 else 8,
        pack=pack,
        dot=problem.dtype == "bf16" and target.dot_bf16 and whole and keys > 1,
        decode=True,
        split_keys=1024,
        prefetch=0,
    )


def _pack(problem: Problem) -> int:
    """For few queries the heads of a group are rows of one tile, so that each key is read once for all of them."""
    group = problem.definition.heads.group
    if problem.seqlen_q is None or group == 1 or problem.seqlen_q * group > PACKED_ROWS:
        return 1
    return group


def refusals(plan: CpuPlan, width: HeadDim, target: CpuTarget) -> list[str]:
    """Why a plan cannot be: nothing where it fits."""
    wrong = []
    step = plan.micro_m * plan.lanes
    if plan.lanes < 2 or plan.lanes & (plan.lanes - 1):
        wrong.append(f"a vector of {plan.lanes} lanes; it is a power of two from 2")
    if min(plan.block_m, plan.block_n, plan.micro_m, plan.micro_n, plan.micro_d) < 1:
        wrong.append("every size is at least 1")
        return wrong
    if plan.decode and (plan.block_m & (plan.block_m - 1) or plan.block_m > plan.lanes):
        wrong.append(f"{plan.block_m} rows; a vector of {plan.lanes} lanes holds a power of two up to that")
    if not plan.decode and plan.block_m % step:
        wrong.append(f"block_m {plan.block_m} is no multiple of micro_m x lanes = {step}")
    if plan.block_n % plan.micro_n:
        wrong.append(f"block_n {plan.block_n} is no multiple of micro_n = {plan.micro_n}")
    if plan.block_n % 2:
        wrong.append(f"block_n {plan.block_n} is odd; weights are made for two keys at a time")
    if plan.block_m < plan.pack:
        wrong.append(f"block_m {plan.block_m} does not hold one query of {plan.pack} heads")
    if plan.dot and width.qk % 2:
        wrong.append(f"products of bf16 pairs need an even head dimension, not {width.qk}")
    if plan.dot and not target.dot_bf16:
        wrong.append(f"{target.name} has no products of bf16 pairs")
    used = plan.micro_m * max(plan.micro_n, plan.micro_d) + plan.micro_m + 1
    if not plan.decode and used > target.registers:
        wrong.append(f"micro-tiles need {used} vector registers of {target.registers}")
    return wrong


def _reasons(plan: CpuPlan, problem: Problem, target: CpuTarget) -> tuple[str, ...]:
    width = problem.definition.head_dim
    size = 8 if plan.dtype == "fp64" else 4
    tile = plan.block_m * (width.qk + width.v + plan.block_n) * size
    used = plan.micro_m * max(plan.micro_n, plan.micro_d) + plan.micro_m + 1
    products = "products of bf16 pairs" if plan.dot else "multiply-adds"
    if plan.decode:
        ahead = f"asked for {plan.prefetch} rows ahead" if plan.prefetch else "read in sequence without prefetching"
        return (
            f"few queries: {plan.block_m} rows (queries of {plan.pack} heads) share each key, on {target.name}",
            f"keys in splits of {plan.split_keys}, {ahead}",
        )
    lines = [
        f"tiles of {plan.block_m} x {plan.block_n} by {products} on {target.name}",
        f"micro-tiles of {plan.micro_m} vectors of {plan.lanes} rows x {plan.micro_n} keys: "
        f"{used} of {target.registers} vector registers",
        f"queries, scores and output of a tile: {tile // 1024} KiB (L1 {target.l1_bytes // 1024} KiB, "
        f"L2 {target.l2_bytes // 1024} KiB)",
    ]
    if plan.pack > 1:
        lines.append(f"few queries: the {plan.pack} heads of a group are rows of one tile")
    return tuple(lines)
