"""``make bench-gpu``: attngen beside SDPA, compiled FlexAttention and FlashAttention, on the GPU of this machine.

Writes docs/benchmarks-gpu.md and build/bench-gpu.json. With --dry-run it needs no GPU, does everything but the
launches, prints the shapes, plans and FLOPs, and writes nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.gpu import report
from tests.gpu.device import Gpu, dry_device, missing, versions
from tests.gpu.measure import ROUNDS, measure
from tests.gpu.workloads import DIMS, LENGTHS, TOKENS, VARIANTS, Workload, workloads

ROOT = Path(__file__).resolve().parents[2]


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-gpu", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="everything but the launches")
    parser.add_argument("--target", default="h100", help="the GPU that a dry run plans for (h100)")
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="variants")
    parser.add_argument("--dims", nargs="+", type=int, default=DIMS, help="head dimensions")
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS, help="keys")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="batch times length, decoding excepted")
    parser.add_argument("--dtype", choices=("bf16", "fp16"), default="bf16")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="timed calls of each rival")
    parser.add_argument("--tune", action="store_true", help="attngen's plans: tuned first (else the untuned ones)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks-gpu.md")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench-gpu.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = options_of(arguments)
    os.environ["TRITON_INTERPRET"] = "0"  # before triton is imported: nothing here is to be interpreted

    console = Console()
    if options.dry_run:
        context = dry_device(options.target)
    elif reason := missing():
        console.print(f"{reason}; `make bench-gpu ARGS=--dry-run` does everything but the launches")
        return 2
    else:
        context = contextlib.nullcontext(Gpu())
    chosen: list[Workload] = list(workloads(options.only, options.dims, options.lengths, options.dtype, options.tokens))
    with context as device:
        if not device.dry:
            os.environ["ATTNGEN_TUNED"] = "1" if options.tune else "0"
        if options.tune and not device.dry:
            tuned(chosen)
        plans = "tuned" if options.tune and not device.dry else "untuned"
        facts = {
            "GPU": device.name,
            "plans": plans,
            **versions(),
            **{f"{k} before": v for k, v in device.clocks().items()},
        }
        rounds = 2 if device.dry else options.rounds
        hidden = not sys.stderr.isatty()
        progress = track(chosen, "timing", console=Console(stderr=True), transient=True, disable=hidden)
        checked = set[Any]()
        results = [measure(work, device, checked, rounds) for work in progress]
        facts |= {f"{k} after": v for k, v in device.clocks().items()}
    for result in results:
        for line in result.wrong:
            console.print(f"{result.work}: {line}", style="red", markup=False)
    if device.dry:
        show(console, results, facts)
    else:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report.record(results, facts, rounds), indent=1) + "\n", encoding="utf-8")
        options.output.write_text(report.markdown(results, facts, rounds), encoding="utf-8")
        console.print(f"wrote {options.output} and {options.json}")
    return 1 if any(result.wrong for result in results) else 0


def tuned(chosen: Sequence[Workload]) -> None:
    """Decide on plans for this GPU: of a variant's lengths `attngen.compile` takes what is best for the longest."""
    import attngen as ag
    from attngen.targets.probe import probe_target

    target = probe_target().arch
    for work in track(chosen, "tuning", console=Console(stderr=True), transient=True):
        ag.tune(work.spec(), [(work.batch, work.m, work.n)], target, dtype=work.dtype)


def show(console: Console, results: Sequence[report.Result], facts: dict[str, str]) -> None:
    """A dry run's table; the page and the JSON are made as well, and thrown away."""
    assert report.NOT_MEASURED in report.markdown(results, facts, 0)
    assert json.dumps(report.record(results, facts, 0), allow_nan=False)
    heading, *rows = report.table(results)
    table = Table(*heading, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    for name, value in facts.items():
        console.print(f"{name}: {value}", markup=False, highlight=False)
    console.print(table)
    console.print("a dry run: nothing was launched, and nothing was measured")


if __name__ == "__main__":
    sys.exit(main())
