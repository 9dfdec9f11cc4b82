"""The table of ``make bench-gpu``, as text and as JSON. What was not measured is said, never estimated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.gpu.measure import Result, Spread, Timing
from tests.gpu.rivals import OURS

NOT_MEASURED = "not measured"

HEAD = """\
# Benchmarks

`make bench-gpu` writes this page. It times the forward of attngen beside PyTorch's SDPA (its own choice of a
backend), compiled FlexAttention, and each FlashAttention that is installed, on the same numbers, each in the layout
that it likes best.

Every call is timed between two events with the L2 cache emptied before it, in rounds in which everyone runs once, in
a rotating order. Times are medians over {rounds} rounds. A ratio is a rival's time over attngen's in the same round:
above 1 attngen is faster; in brackets the quartiles. FLOPs are those of the two products over kept pairs. Before
anything is timed, the variant is compared with the float64 oracle and every rival's result with attngen's.
"""


def shape(result: Result) -> str:
    work = result.work
    heads = str(work.heads[0]) if work.heads[0] == work.heads[1] else f"{work.heads[0]}/{work.heads[1]}"
    return f"{work.batch} x {heads} x {work.m} x {work.n} x {work.dim}"


def plan(result: Result) -> str:
    found = result.plan
    extra = [name for name in ("descriptors", "overlap") if found[name]]
    extra += [f"{found['pack']} heads a tile"] if found["pack"] > 1 else []
    size = f"{found['block_m']} x {found['block_n']}, {found['num_warps']} warps, {found['num_stages']} stages"
    return ", ".join([size, *extra])


def milliseconds(timing: Timing) -> str:
    if timing.ms is None:
        return timing.note or "-"
    return f"{timing.ms.median:.4g}" if timing.ms.measured else NOT_MEASURED


def ratio(timing: Timing) -> str:
    found = timing.ratio
    if found is None:
        return timing.note or "-"
    if not found.measured:
        return NOT_MEASURED
    note = f", {timing.note}" if timing.note else ""
    return f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f}{note})"


def rate(result: Result) -> str:
    """TFLOP/s; for decoding GB/s, which is what limits it."""
    ours = next((timing for timing in result.timings if timing.name == OURS), None)
    if ours is None or ours.ms is None or not ours.ms.measured:
        return NOT_MEASURED
    seconds = ours.ms.median / 1e3
    if result.work.variant.decode:
        return f"{result.work.bytes / seconds / 1e9:.0f} GB/s"
    return f"{result.work.flops / seconds / 1e12:.0f} TFLOP/s"


def rivals(results: Sequence[Result]) -> list[str]:
    names = (timing.name for result in results for timing in result.timings)
    return [name for name in dict.fromkeys(names) if name != OURS]


def table(results: Sequence[Result]) -> Iterator[list[str]]:
    """The heading, then a row for each result."""
    names = rivals(results)
    yield [
        "variant",
        "B x H x M x N x D",
        "GFLOP",
        "plan",
        "attngen ms",
        "rate",
        *(f"{name} / attngen" for name in names),
    ]
    for result in results:
        row = [result.work.variant.name, shape(result), f"{result.work.flops / 1e9:.4g}", plan(result)]
        if result.wrong:
            yield [*row, "not timed: results differ", "-", *("-" for _ in names)]
            continue
        by_name = {timing.name: timing for timing in result.timings}
        missing = Timing("", None, None)
        yield [
            *row,
            milliseconds(by_name[OURS]),
            rate(result),
            *(ratio(by_name.get(name, missing)) for name in names),
        ]


def markdown(results: Sequence[Result], facts: Mapping[str, str], rounds: int) -> str:
    lines = [HEAD.format(rounds=rounds), "| | |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in facts.items()), ""]
    rows = list(table(results))
    lines += ["| " + " | ".join(row) + " |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]
    return "\n".join([*lines, ""])


def record(results: Sequence[Result], facts: Mapping[str, str], rounds: int) -> dict[str, Any]:
    """As JSON; null for what was not measured."""

    def numbers(spread: Spread | None) -> list[float] | None:
        return None if spread is None or math.isnan(spread.median) else [spread.low, spread.median, spread.high]

    return {
        "facts": dict(facts),
        "rounds": rounds,
        "rows": [
            {
                "variant": result.work.variant.name,
                "batch": result.work.batch,
                "heads": list(result.work.heads),
                "head_dim": result.work.dim,
                "queries": result.work.m,
                "keys": result.work.n,
                "dtype": result.work.dtype,
                "flops": result.work.flops,
                "bytes": result.work.bytes,
                "plan": result.plan,
                "wrong": result.wrong,
                "ms": {timing.name: numbers(timing.ms) for timing in result.timings},
                "ratio": {timing.name: numbers(timing.ratio) for timing in result.timings},
                "notes": {timing.name: timing.note for timing in result.timings if timing.note},
            }
            for result in results
        ],
    }
