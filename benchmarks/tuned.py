"""Quick tunes of ten examples, then their tuned and untuned plans timed anew: is tuned ever slower?

``python -m benchmarks.tuned`` (``--write`` puts the table into docs/tuning.md). Each spec is tuned by the command line,
start-up included, into a store of its own; then both plans run side by side, one thread, in rotating order.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

import attngen as ag
from attngen.checking.inputs import build
from attngen.language import toml
from attngen.runtime.native.isa import detect
from attngen.runtime.native.machine import processor
from attngen.runtime.tensors import torch_tensors
from attngen.sample import Sizes, sample
from benchmarks.timing import Ratio, interleaved, load
from tests.support.marks import write_part

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tuning.md"
DTYPE, N = "bf16", 1024
SPECS = (
    *("causal", "mistral_7b", "gemma2", "gpt_oss_20b", "longformer"),
    *("bigbird", "packed_documents", "alibi", "streaming_llm", "sigmoid"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """``seconds``: of the command. ``ratio``: CPU time, untuned over tuned; ``other``: the same with random tensors."""

    name: str
    seconds: float
    tried: int
    tuned: str
    untuned: str
    ratio: Ratio
    other: Ratio | None


def tune(name: str, length: int, folder: Path) -> tuple[float, int]:
    """Seconds of a quick tune, and how many plans it timed."""
    command = [sys.executable, "-m", "attngen", "tune", str(ROOT / "examples" / f"{name}.toml")]
    command += ["--effort", "quick", "--seqlen", str(length), "--dtype", DTYPE, "--json"]
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ATTNGEN_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)},
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{name}: the tuner failed\n{done.stderr}")
    return seconds, int(json.loads(done.stdout)["results"][0]["tried"])


def compiled(spec: Any, tuned: bool) -> Any:
    os.environ["ATTNGEN_TUNED"] = "1" if tuned else "0"
    return ag.compile(spec, backend="cpu")


def plan_of(attention: Any) -> str:
    plan = next(iter(attention.loaded.values())).emitted.plan
    rows = f"{plan.q_tiles} of {plan.block_m}" if plan.q_tiles > 1 else f"{plan.block_m}"
    return f"{rows} x {plan.block_n}, {plan.micro_m} x {plan.micro_n} x {plan.micro_d}"


def drawn(spec: Any, length: int) -> dict[str, Any]:
    """Tensors and parameters that the tuner used."""
    found = sample(spec.definition, Sizes(1, length, length), {})
    return torch_tensors(spec.definition.tensors, found.tensors) | found.params


def compared(spec: Any, length: int, values: Mapping[str, Any], rounds: int) -> tuple[Ratio, str, str]:
    """Untuned over tuned in CPU time, and both plans."""
    case = build(spec, 1, length, length, DTYPE, values=values)
    calls, plans = {}, []
    for tuned in (True, False):
        attention = compiled(spec, tuned)
        attention(case.q, case.k, case.v, **case.values)
        plans.append(plan_of(attention))
        calls[str(tuned)] = lambda attention=attention: attention(case.q, case.k, case.v, **case.values)
    times = interleaved(calls, rounds)
    return Ratio.of(times["False"].cpu, times["True"].cpu), plans[0], plans[1]


def row(name: str, length: int, rounds: int, folder: Path) -> Row:
    seconds, tried = tune(name, length, folder)
    spec = toml.load(ROOT / "examples" / f"{name}.toml")
    values = drawn(spec, length)
    ratio, tuned, untuned = compared(spec, length, values, rounds)
    parameters = {param.name: values[param.name] for param in spec.definition.params}
    other = compared(spec, length, parameters, rounds)[0] if spec.definition.tensors and tuned != untuned else None
    return Row(name, seconds, tried, tuned, untuned, ratio, other)


def table(rows: list[Row], length: int, rounds: int) -> str:
    lines = [
        f"{processor()}, {detect().arch}, {DTYPE}, {length:,} tokens, batch 1, {rounds} rounds, load {load()};",
        "`make bench-tuned`.",
        "",
        "| spec | seconds | plans timed | untuned | tuned | untuned / tuned | with random tensors |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in rows:
        tuned = "the same" if one.tuned == one.untuned else one.tuned
        cells = (f"{one.seconds:.1f}", str(one.tried), one.untuned, tuned, str(one.ratio), str(one.other or ""))
        lines.append(f"| {one.name} | {' | '.join(cells)} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=SPECS)
    parser.add_argument("--length", type=int, default=N)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="write docs/tuning.md")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ATTNGEN_CACHE_DIR"] = folder
        names = track(given.names, "tuning", console=Console(stderr=True), transient=True)
        rows = [row(name, given.length, given.rounds, Path(folder)) for name in names]
    text = table(rows, given.length, given.rounds)
    print(text)
    if given.write:
        write_part(PAGE, "ten", text)


if __name__ == "__main__":
    main()
