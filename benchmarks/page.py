"""docs/benchmarks.md from the record of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.timing import geometric_mean

HEAD = """\
# Benchmarks: {arch}

<!-- made by benchmarks/cpu.py: `make bench-cpu` -->

Native kernels beside what PyTorch has on a CPU, in one process and one thread, in rotating order, {rounds} rounds.
Times are CPU time, so other programs on the machine do not count; a ratio is the median over rounds of theirs / ours,
with the middle half of the rounds in brackets. FLOPs are those of pairs that the mask keeps. SDPA takes windows and
documents as a dense mask. Every result is compared with ours before it is timed. What the processor can do at most is
measured at the start, for the table below, and again beside each of our turns, for the shares.

| | |
| --- | --- |
| Processor | {processor}, {arch} |
| One core: multiply-adds | {fma:.0f} GFLOP/s in fp32, {dot} |
| One core: reading memory | {read:.1f} GB/s |
| Software | PyTorch {torch}, {compiler} |
| Load | {load_at_start} at the start, {load_at_end} at the end |
| Command | `{command}` |

What can be gained depends on the processor: see the share of the peak. Where vectors of 512 bits do no more work a
clock than those of 256, SDPA is nearer to the peak and the ratios are smaller.
"""


def page(record: dict[str, Any]) -> str:
    machine = record["machine"]
    dot = f"{machine['dot_gflops']:.0f} in products of bf16 pairs" if machine["dot_gflops"] else "no bf16 pairs"
    head = HEAD.format(
        **{name: record[name] for name in ("rounds", "torch", "load_at_start", "load_at_end", "command")},
        **{name: machine[name] for name in ("processor", "arch", "compiler")},
        fma=machine["fma_gflops"],
        dot=dot,
        read=machine["read_gbps"],
    )
    parts = [head, *_summary(record["forward"]), *_forward(record["forward"]), *_decode(record["decode"])]
    threads = record.get("threads")
    if threads:
        median, low, high = threads["speedup"]
        bits = "the same bits" if threads["same_bits"] else "DIFFERENT bits"
        parts.append(
            f"## Two threads\n\nCausal fp32, 4096 tokens: {median:.2f} ({low:.2f}-{high:.2f}) times one thread in wall "
            f"time, {bits}, at a load of {threads['load']}.\n"
        )
    return "\n".join(parts)


def _summary(rows: list[dict[str, Any]]) -> Iterable[str]:
    if not rows:
        return
    yield "## Forward: geometric means of the ratios\n"
    yield "| dtype | SDPA | compiled FlexAttention | eager | worst row | avx2 build: SDPA |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for dtype in dict.fromkeys(row["problem"]["dtype"] for row in rows):
        own = [row for row in rows if row["problem"]["dtype"] == dtype]
        means = [_mean(own, name) for name in ("sdpa", "flex", "eager")]
        every = [
            (ratio[0], name) for row in own for name, ratio in row["ratios"].items() if not name.startswith("ours")
        ]
        worst = f"{min(every)[0]:.2f} ({min(every)[1]})" if every else "-"
        narrow = [
            row["ratios"]["sdpa"][0] / row["ratios"]["ours avx2"][0]
            for row in own
            if {"sdpa", "ours avx2"} <= set(row["ratios"])
        ]
        yield f"| {dtype} | {' | '.join(means)} | {worst} | {f'{geometric_mean(narrow):.2f}' if narrow else '-'} |"
    yield ""


def _mean(rows: list[dict[str, Any]], name: str) -> str:
    values = [row["ratios"][name][0] for row in rows if name in row["ratios"]]
    return f"{geometric_mean(values):.2f} ({len(values)} rows)" if values else "-"


def _ratio(row: dict[str, Any], name: str) -> str:
    if name not in row["ratios"]:
        return "-"
    median, low, high = row["ratios"][name]
    return f"{median:.2f} ({low:.2f}-{high:.2f})"


def _forward(rows: list[dict[str, Any]]) -> Iterable[str]:
    if not rows:
        return
    yield "## Forward, batch 1, 8 heads\n"
    yield "| dtype | D | tokens | mask | ours ms (wall) | GFLOP/s | of peak | SDPA | FlexAttention | eager |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        problem, (cpu, wall) = row["problem"], row["times"]["ours"]
        ratios = " | ".join(_ratio(row, name) for name in ("sdpa", "flex", "eager"))
        yield (
            f"| {problem['dtype']} | {problem['dim']} | {problem['n']} | {problem['mask']} | {cpu:.1f} ({wall:.1f}) | "
            f"{row['gflops']:.0f} | {row['share']:.0%} | {ratios} |"
        )
    yield ""


def _decode(rows: list[dict[str, Any]]) -> Iterable[str]:
    if not rows:
        return
    yield "## Decoding: one query, 32 query and 8 key/value heads\n"
    yield "SDPA is given the heads of a group as rows, which is its best way; `enable_gqa` is the other. Reading is"
    yield "that of one sequence of memory. Keys and values in turns can come faster, and few come from a cache.\n"
    yield "| dtype | D | keys | ours ms (wall) | GB/s | of reading | SDPA | enable_gqa |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        problem, (cpu, wall) = row["problem"], row["times"]["ours"]
        yield (
            f"| {problem['dtype']} | {problem['dim']} | {problem['n']} | {cpu:.2f} ({wall:.2f}) | {row['gbps']:.1f} | "
            f"{row['share']:.0%} | {_ratio(row, 'sdpa')} | {_ratio(row, 'sdpa enable_gqa')} |"
        )
    yield ""
