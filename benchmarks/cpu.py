"""Native kernels beside what PyTorch has: `make bench-cpu`, or python -m benchmarks.cpu --help.

Contenders run in one process, one thread, in rotating order, and CPU time is taken, so that ratios hold on a
machine that does other things as well; its load is printed. Results are compared before they are timed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from attngen.runtime.native.machine import measure, rate_now
from benchmarks.contenders import MASKS, Problem, attend, contenders, decode_contenders, pairs
from benchmarks.page import page
from benchmarks.timing import Call, Ratio, Times, interleaved, load

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "build" / "bench" / "cpu.json"
PAGE = ROOT / "docs" / "benchmarks.md"
TOLERANCE = {"fp32": 1e-4, "bf16": 6e-2}
DECODE = tuple(
    Problem("full", dtype, dim, n, (32, 8), 1) for dtype in ("fp32", "bf16") for dim in (64, 128) for n in (4096, 32768)
)


@dataclass(frozen=True, slots=True)
class Row:
    """One problem. ``times``: CPU and wall milliseconds by contender; ``ratios``: theirs over ours, CPU time.

    ``share``: of what limits it (multiply-adds; reading, where there is one query), which is measured right after
    each of our turns: a shared machine is not equally fast all the time. The median of the rounds.
    """

    problem: dict[str, Any]
    times: dict[str, tuple[float, float]]
    ratios: dict[str, tuple[float, float, float]]
    gflops: float
    share: float
    gbps: float
    load: str


def problems(lengths: list[int], dims: list[int], dtypes: list[str], masks: list[str]) -> list[Problem]:
    return [Problem(mask, dtype, dim, n) for dtype in dtypes for dim in dims for n in lengths for mask in masks]


def agree(problem: Problem, calls: dict[str, Call]) -> None:
    """SystemExit when a contender computes something else than we do."""
    ours: Any = calls["ours"]()
    for name, call in calls.items():
        theirs: Any = call()
        error = (ours.float() - theirs.float().view_as(ours)).abs().max().item()
        if not error <= TOLERANCE[problem.dtype]:
            sys.exit(f"{problem}: {name} differs by {error:.1e}, nothing is reported")


def row(problem: Problem, calls: dict[str, Call], rounds: int) -> Row:
    agree(problem, calls)
    loaded = next(one for request, one in attend(problem).loaded.items() if request.dtype == problem.dtype)
    dot = bool(getattr(loaded.emitted.plan, "dot", False))
    limit = "read" if problem.queries == 1 else "dot" if dot else "fma"
    limits: list[float] = []
    times = interleaved(calls, rounds, beside={"ours": lambda: limits.append(rate_now(limit))})
    gflop = 4 * problem.dim * problem.heads[0] * pairs(problem) * 1e-9
    gigabytes = 2 * problem.heads[1] * problem.n * problem.dim * (4 if problem.dtype == "fp32" else 2) * 1e-9
    work = gigabytes if limit == "read" else gflop
    seconds = times["ours"].cpu_ms / 1e3
    return Row(
        asdict(problem),
        {name: (one.cpu_ms, one.wall_ms) for name, one in times.items()},
        {name: _ratio(one, times["ours"]) for name, one in times.items() if name != "ours"},
        gflop / seconds,
        statistics.median(work / one / most for one, most in zip(times["ours"].cpu, limits, strict=True)),
        gigabytes / seconds,
        load(),
    )


def _ratio(theirs: Times, ours: Times) -> tuple[float, float, float]:
    ratio = Ratio.of(theirs.cpu, ours.cpu)
    return ratio.median, ratio.low, ratio.high


def two_threads(rounds: int) -> dict[str, Any]:
    """Wall time of one and two threads, and whether the results are the same bits."""
    problem = Problem("causal", "fp32", 64, 4096)
    call = contenders(problem, flex=False)["ours"]

    def with_threads(count: int) -> Any:
        torch.set_num_threads(count)
        return call()

    one = with_threads(1).clone()
    same = torch.equal(one, with_threads(2))
    times = interleaved({"1": lambda: with_threads(1), "2": lambda: with_threads(2)}, rounds)
    torch.set_num_threads(1)
    ratio = Ratio.of(times["1"].wall, times["2"].wall)
    return {"speedup": [ratio.median, ratio.low, ratio.high], "same_bits": same, "load": load()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"], choices=("fp32", "bf16"))
    parser.add_argument("--masks", nargs="+", default=list(MASKS), choices=MASKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-flex", action="store_true", help="FlexAttention compiles for seconds at each problem")
    parser.add_argument("--no-decode", action="store_true")
    parser.add_argument("--write", nargs="?", const=PAGE, type=Path, help="write the page (docs/benchmarks.md)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch._dynamo.config.cache_size_limit = 1000
    machine = measure()
    record: dict[str, Any] = {
        "machine": asdict(machine),
        "torch": torch.__version__,
        "command": f"python -m benchmarks.cpu {' '.join(sys.argv[1:])}".strip(),
        "rounds": given.rounds,
        "load_at_start": load(),
        "forward": [],
        "decode": [],
    }
    for problem in problems(given.lengths, given.dims, given.dtypes, given.masks):
        targets = ("avx2",) if problem.dtype == "fp32" and machine.arch.startswith("avx512") else ()
        made = row(problem, contenders(problem, flex=not given.no_flex, targets=targets), given.rounds)
        record["forward"].append(_told(made))
    for problem in () if given.no_decode else DECODE:
        record["decode"].append(_told(row(problem, decode_contenders(problem), max(given.rounds, 7))))
    record["threads"] = two_threads(given.rounds)
    record["load_at_end"] = load()
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1))
    text = page(record)
    if given.write:
        given.write.write_text(text)
    print(text)


def _told(made: Row) -> dict[str, Any]:
    ratios = ", ".join(f"{name} {ratio[0]:.2f}" for name, ratio in made.ratios.items())
    print(f"{made.problem}: {made.gflops:.0f} GFLOP/s ({made.share:.0%}); theirs/ours: {ratios}", file=sys.stderr)
    return asdict(made)


if __name__ == "__main__":
    main()
