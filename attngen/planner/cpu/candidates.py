"""The space of CPU plans: packing, tile sizes, micro-tiles, splits. Nothing here judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from attngen.language.definition import Blocks
from attngen.planner.cpu.grain import grain_of, in_runs
from attngen.planner.cpu.plan import CpuPlan
from attngen.planner.problem import Problem
from attngen.targets.cpu import CpuTarget

ROWS = (16, 32, 64, 128)
"""Of a query tile, each rounded up to whole micro-tiles."""
Q_TILES, MOST_ROWS = (1, 2, 4, 8), 192
"""Query tiles that share key tiles, and their rows together."""
MICRO_TILES_A_TILE, LONG, MOST_KEYS = (2, 4, 8, 16), 4, 96
"""Micro-tiles of keys in a key tile, which has no more keys than that. Short tiles gain nothing where loops begin and
end at any micro-tile."""
MICRO = {16: ((2, 6), (3, 4), (1, 8)), 32: ((2, 8), (1, 8))}
"""Registers -> (micro_m, micro_n) worth trying. With 32 the sums of 4 x 6 would fit as well; 2 x 8 is the best one
that was ever measured there, and what was not measured is not offered. One vector of rows is for few rows."""
KEYS_AT_ONCE = (8, 6, 5, 4, 3, 2, 1)
"""micro_n where block_n is given: whatever divides it."""
SPLITS, AHEAD = (512, 1024, 2048, 4096), (0, 4, 8, 16, 32)
PACKED_ROWS = 128
"""Up to this many (query, head) pairs the heads of a group are rows of one tile."""
LEAST_ROWS = 4
"""Of a decoding tile: fewer leave too little to do for each key, and short sums that wait for each other."""


def candidates(problem: Problem, target: CpuTarget, fixed: Mapping[str, int] | None = None) -> Iterator[CpuPlan]:
    """Every point of the space, some tens. ``fixed``: fields that a person chose; the rest stays free."""
    fixed, blocks = fixed or {}, problem.blocks or Blocks()
    lanes, pack = lanes_of(problem.dtype, target), pack_of(problem)
    pinned = blocks.q * pack if blocks.q is not None else None
    rows = problem.seqlen_q * pack if problem.seqlen_q is not None else None
    if rows is not None and (pinned or rows) <= lanes:
        yield from _decode(problem, target, max(pinned or rows, pack), pack, fixed)
    else:
        yield from _forward(problem, target, rows, pinned, pack, fixed)


def _forward(
    problem: Problem, target: CpuTarget, rows: int | None, pinned: int | None, pack: int, fixed: Mapping[str, int]
) -> Iterator[CpuPlan]:
    """``rows`` that there are, where that is known; ``pinned``: those of a tile, by the spec."""
    lanes = lanes_of(problem.dtype, target)
    block_n = fixed.get("block_n", problem.blocks.kv if problem.blocks is not None else None)
    runs = keys_in_runs(problem, target)
    few = pinned is not None or "block_m" in fixed or (rows is not None and rows < 2 * lanes)
    for micro_m, micro_n, micro_d in _micro_tiles(target, block_n, fixed):
        if micro_m == 1 and not few and "micro_m" not in fixed:
            continue
        step = micro_m * lanes
        block_ms: tuple[int, ...] = tuple(dict.fromkeys(_up(size, step) for size in _rows(rows, pack)))
        if "block_m" in fixed:
            block_ms = (fixed["block_m"],)
        elif pinned is not None:
            block_ms = (pinned if pack == 1 else _up(pinned, step),)
        if runs:  # more rows share key tiles as several query tiles
            block_ms = block_ms[:2]
        block_ns = (block_n,) if block_n is not None else _block_ns(micro_n, runs)
        for block_m, keys in product(block_ms, block_ns):
            grain = grain_of(micro_n, keys) if runs else keys
            for q_tiles in (fixed["q_tiles"],) if "q_tiles" in fixed else _q_tiles(rows, block_m, grain < keys):
                yield CpuPlan(
                    target=target.name,
                    arch=target.arch,
                    dtype=problem.dtype,
                    lanes=lanes,
                    q_tiles=q_tiles,
                    block_m=block_m,
                    block_n=keys,
                    grain=grain,
                    micro_m=micro_m,
                    micro_n=micro_n,
                    micro_d=micro_d,
                    pack=pack,
                    dot=_dot(problem, target) and problem.definition.head_dim.qk % 2 == 0 and keys % 2 == 0,
                    decode=False,
                    split_keys=fixed.get("split_keys", 0),
                    prefetch=fixed.get("prefetch", 0),
                )


def keys_in_runs(problem: Problem, target: CpuTarget) -> bool:
    """Whether the tiles that the mask keeps follow each other: those of the smallest size that plans often have, so
    that the schedule which tells is seldom made for nothing."""
    micro_m, micro_n = _measured(target)[0]
    rows, keys = micro_m * lanes_of(problem.dtype, target), grain_of(micro_n, 2 * micro_n)
    return in_runs(problem.definition.mask, problem.definition.params, rows, keys)


def lanes_of(dtype: str, target: CpuTarget) -> int:
    return target.vector_bytes // (8 if dtype == "fp64" else 4)


def pack_of(problem: Problem) -> int:
    """For few queries the heads of a group are rows of one tile, so that each key is read once for all of them."""
    group = problem.definition.heads.group
    if problem.seqlen_q is None or group == 1 or problem.seqlen_q * group > PACKED_ROWS:
        return 1
    return group


def _up(size: int, step: int) -> int:
    return -(-size // step) * step


def _dot(problem: Problem, target: CpuTarget) -> bool:
    return problem.dtype == "bf16" and target.dot_bf16


def _rows(rows: int | None, pack: int) -> tuple[int, ...]:
    """No more rows than hold all that there are, and at least one query."""
    if rows is not None and rows < ROWS[0]:
        return (rows,)
    enough = next((size for size in ROWS if size >= (rows or ROWS[-1])), ROWS[-1])
    return tuple(dict.fromkeys(max(size, pack) for size in ROWS if size <= enough))


def _q_tiles(rows: int | None, block_m: int, runs: bool) -> tuple[int, ...]:
    """As many as have rows to do; tiles of scattered keys are not shared."""
    most = min(MOST_ROWS, _up(rows or MOST_ROWS, block_m)) // block_m if runs else 1
    return tuple(n for n in Q_TILES if n <= max(1, most))


def _block_ns(micro_n: int, runs: bool) -> tuple[int, ...]:
    """Few at a time where the micro-tile was chosen by a person, so that there is always one."""
    sizes = tuple(micro_n * times for times in MICRO_TILES_A_TILE if times >= LONG or not runs)
    return tuple(size for size in sizes if size <= MOST_KEYS) or sizes[:1]


def _measured(target: CpuTarget) -> tuple[tuple[int, int], ...]:
    """(micro_m, micro_n) worth trying, the usual one first."""
    return MICRO[32 if target.registers >= 32 else 16]


def _micro_tiles(target: CpuTarget, block_n: int | None, fixed: Mapping[str, int]) -> Iterator[tuple[int, int, int]]:
    """(micro_m, micro_n, micro_d): columns of the output come as many at once as keys do, where keys are free."""
    known = _measured(target)
    widest: dict[int, int] = {}
    for micro_m, micro_n in known:
        widest[micro_m] = max(micro_n, widest.get(micro_m, 0))
    for micro_m in (fixed["micro_m"],) if "micro_m" in fixed else widest:
        at_once = tuple(n for m, n in known if m == micro_m) or KEYS_AT_ONCE
        if block_n is not None:
            at_once = tuple(n for n in KEYS_AT_ONCE if block_n % n == 0 and n <= widest.get(micro_m, n)) or (1,)
        for micro_n in (fixed["micro_n"],) if "micro_n" in fixed else at_once:
            micro_d = fixed.get("micro_d", max(micro_n, widest.get(micro_m, 0)) if block_n is not None else micro_n)
            yield micro_m, micro_n, micro_d


def _decode(problem: Problem, target: CpuTarget, rows: int, pack: int, fixed: Mapping[str, int]) -> Iterator[CpuPlan]:
    """Few rows: a vector of scores holds them all, padded to a power of two, for as many keys as fit."""
    lanes, width = lanes_of(problem.dtype, target), problem.definition.head_dim
    rows = max(min(LEAST_ROWS, lanes), 1 << (rows - 1).bit_length())
    keys = lanes // rows
    # pairs of keys in a vector of scores, pairs of whole vectors of columns
    whole = width.qk % (2 * lanes) == 0 and width.v % (2 * lanes) == 0
    pinned = problem.blocks.kv if problem.blocks is not None else None
    axes = {
        "block_n": (16, 32, 64) if pinned is None else (pinned,),
        "split_keys": SPLITS,
        "prefetch": AHEAD,
    }
    axes.update({name: (fixed[name],) for name in axes if name in fixed})
    for block_n, split_keys, prefetch in product(*axes.values()):
        block_n = block_n if "block_n" in fixed else _up(block_n, keys)
        yield CpuPlan(
            target=target.name,
            arch=target.arch,
            dtype=problem.dtype,
            lanes=lanes,
            q_tiles=1,
            block_m=fixed.get("block_m", rows),
            block_n=block_n,
            grain=block_n,
            micro_m=fixed.get("micro_m", 1),
            micro_n=fixed.get("micro_n", keys),
            micro_d=fixed.get("micro_d", 16 if target.registers >= 32 else 8),
            pack=pack,
            dot=_dot(problem, target) and whole and keys > 1,
            decode=True,
            split_keys=split_keys,
            prefetch=prefetch,
        )
