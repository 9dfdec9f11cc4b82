"""The tables of docs/plans.md from what `benchmarks.plans` measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from attngen.runtime.native.machine import Machine
from benchmarks.contenders import Problem
from benchmarks.timing import Ratio, geometric_mean

PAGE = Path(__file__).resolve().parents[1] / "docs" / "plans.md"


@dataclass(frozen=True, slots=True)
class Compared:
    """One shape. ``ratio``: the untuned plan over the best, ``gain``: fixed tiles over the untuned plan.

    Plans are (q_tiles, block_m, block_n, micro_m, micro_n, micro_d, split_keys, prefetch).
    """

    problem: Problem
    untuned: tuple[int, ...]
    best: tuple[int, ...]
    plans: int
    ms: float
    ratio: Ratio
    gain: Ratio


def page(groups: Mapping[str, list[Compared]], machine: Machine, rounds: int, load: str) -> str:
    return "\n".join(_lines(groups, machine, rounds, load))


def _lines(groups: Mapping[str, list[Compared]], machine: Machine, rounds: int, load: str) -> Iterable[str]:
    yield (
        f"{machine.processor}, {machine.arch}, {machine.fma_gflops:.0f} GFLOP/s of fp32 multiply-adds, "
        f"{machine.read_gbps:.1f} GB/s of reading; {machine.compiler}; load {load} at the start; {rounds} new rounds. "
        "A ratio is the median of those of the rounds, with the middle half of them in brackets."
    )
    for name, rows in groups.items():
        forward, decode = [row for row in rows if not row.problem.m], [row for row in rows if row.problem.m]
        yield f"\n### {name}\n"
        for kind, own in (("forward", forward), ("decoding", decode), ("all", rows)):
            yield _summary(kind, own)
        yield ""
        yield "| mask | dtype | D | tokens | plans | untuned | ms | best plan | untuned / best | 64 x 64 / untuned |"
        yield "| --- | --- | ---: | ---: | ---: | --- | ---: | --- | --- | --- |"
        for row in rows:
            what = row.problem
            mask = f"{what.mask}, 1 row" if what.m else what.mask
            best = "the same" if row.best == row.untuned else _plan(row.best)
            yield (
                f"| {mask} | {what.dtype} | {what.dim} | {what.n} | {row.plans} | {_plan(row.untuned)} | "
                f"{row.ms:.2f} | {best} | {row.ratio} | {row.gain.median:.2f} |"
            )


def _summary(kind: str, rows: list[Compared]) -> str:
    worst = max(rows, key=lambda row: row.ratio.median)
    mean = geometric_mean([row.ratio.median for row in rows])
    gain = geometric_mean([row.gain.median for row in rows])
    return (
        f"- {kind}: {mean:.3f} of the best on the geometric mean of {len(rows)} shapes, {worst.ratio.median:.3f} at "
        f"worst; {gain:.2f} times as fast as tiles of 64 x 64"
    )


def _plan(plan: tuple[int, ...]) -> str:
    q_tiles, block_m, block_n, micro_m, micro_n, _, split, ahead = plan
    if split:
        return f"{block_n} keys, splits of {split}, {ahead} ahead"
    rows = f"{q_tiles} of {block_m}" if q_tiles > 1 else f"{block_m}"
    return f"{rows} x {block_n}, {micro_m} x {micro_n}"
