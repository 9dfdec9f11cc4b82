"""From a new variant to its first result: native kernels beside compiled FlexAttention.

``python -m benchmarks.first`` (``--write`` puts the table into docs/flexattention.md). Each side has a process of its
own, which imports everything, computes ten variants one after the other with empty caches, and again in a second
process with the caches of the first. Wall time of the whole way: tracing, planning, compiling, computing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import attngen as ag
from attngen.runtime.native.isa import detect
from benchmarks.callables import DIM, HEADS, PAGE, N, inputs, the_masks, the_mods
from benchmarks.timing import geometric_mean, load
from tests.support.marks import write_part

ROOT = Path(__file__).resolve().parents[1]
MASKS = (
    "causal",
    "sliding_window",
    "prefix_lm",
    "doc_mask",
    "global_sliding_window",
    "dilated_sliding_window",
    "natten",
)
SCORES = ("alibi", "relative", "tanh_softcap")
SIDES = ("ours", "flex")


@dataclass(frozen=True, slots=True)
class Seconds:
    """To the first result of each variant, in order: with empty caches, and in a second process with full ones.

    ``size``: the mean of the absolute values of the result, to tell whether the sides computed the same.
    """

    cold: dict[str, float]
    warm: dict[str, float]
    size: dict[str, float]


def first_results(side: str) -> dict[str, tuple[float, float]]:
    """Each variant once, in this process: seconds, and the size of the result."""
    masks, mods = the_masks(), the_mods()
    variants = {name: (masks[name], None) for name in MASKS} | {name: (masks["causal"], mods[name]) for name in SCORES}
    qkv = inputs()
    way = _flex() if side == "flex" else _ours
    made = {}
    for name, (mask, score) in variants.items():
        start = time.perf_counter()
        result = way(name, mask, score, *qkv)
        made[name] = time.perf_counter() - start, result.abs().mean().item()
    return made


def _ours(name: str, mask: object, score: object, *qkv: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = ag.compile(ag.AttentionSpec(name, HEADS, DIM, mask=mask, score=score))(*qkv)
    return result


def _flex() -> Callable[..., torch.Tensor]:
    import torch._inductor.compile_fx  # torch imports it with the first compilation; this is not about imports
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def compute(name: str, mask: object, score: object, *qkv: torch.Tensor) -> torch.Tensor:
        torch._dynamo.reset()  # a variant of its own, not one more shape of the last
        blocks = create_block_mask(mask, None, None, N, N, device="cpu")
        result: torch.Tensor = torch.compile(flex_attention, dynamic=False)(*qkv, score_mod=score, block_mask=blocks)
        return result

    return compute


def measured(side: str) -> Seconds:
    """Two processes that share caches which were empty before the first."""
    with tempfile.TemporaryDirectory(prefix="attngen-first-") as folder:
        caches = {"ATTNGEN_CACHE_DIR": f"{folder}/attngen", "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor"}
        command = [sys.executable, "-m", "benchmarks.first", "--side", side]
        runs: list[dict[str, list[float]]] = []
        for _ in range(2):
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **caches}, stdout=subprocess.PIPE, text=True, check=True
            )
            runs.append(json.loads(done.stdout))
    cold, warm = ({name: seconds for name, (seconds, _) in run.items()} for run in runs)
    return Seconds(cold, warm, {name: size for name, (_, size) in runs[0].items()})


def table(ours: Seconds, flex: Seconds) -> str:
    """SystemExit when the sides computed something else."""
    for name, size in ours.size.items():
        if not abs(size - flex.size[name]) <= 1e-4 * size:
            sys.exit(f"{name}: attngen gives {size}, FlexAttention {flex.size[name]}; nothing is reported")
    lines = [
        f"{N} tokens, {HEADS} heads of {DIM}, fp32, wall time on {os.cpu_count()} processors ({detect(None).arch}), "
        f"load {load()}. The first variant of a process also pays for what is done once.\n",
        "| variant, in this order | attngen | FlexAttention | times sooner | attngen, from disk "
        "| FlexAttention, from disk |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, cold in ours.cold.items():
        lines.append(
            f"| {name} | {cold:.2f} s | {flex.cold[name]:.2f} s | {flex.cold[name] / cold:.1f} | "
            f"{1e3 * ours.warm[name]:.0f} ms | {flex.warm[name]:.2f} s |"
        )
    mean = geometric_mean([flex.cold[name] / cold for name, cold in ours.cold.items()])
    lines.append(f"\nGeometric mean: {mean:.1f} times sooner.\n")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/flexattention.md")
    parser.add_argument("--side", choices=SIDES, help="one process of one side; prints its seconds")
    given = parser.parse_args()
    if given.side:
        print(json.dumps(first_results(given.side)))
        return
    text = table(*(measured(side) for side in SIDES))
    if given.write:
        write_part(PAGE, "first results", text)
    print(text)


if __name__ == "__main__":
    main()
