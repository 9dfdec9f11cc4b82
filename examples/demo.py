"""Three real models, from spec to checked kernel: explain, emit, run against the oracle and beside SDPA, draw, tune.

    make demo

Files go to build/demo/. Kernels run on a GPU where there is one, else natively on the CPU; heads are fewer than in
the model, so that it is quick, while windows and head dimensions are the real ones. Against the oracle, which is
dense and in float64, the queries are the last of the sequence; beside SDPA they are all of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import attngen as ag
from attngen.cli.run import Verdict, judge
from attngen.cli.show import pattern, save_pattern
from attngen.explanation import Explanation
from attngen.expr.build import SCORE
from attngen.language import toml
from attngen.sample import Sizes

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "demo"
TARGETS = {"h100": "py", "a100": "py", "mi300x": "py", "cpu": "cpp"}
SEQLEN = 8192
TUNED = 2048
"""Tokens, for the sweep at the end."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An example, and the size at which its kernel is run."""

    name: str
    title: str
    heads: tuple[int, int]
    sizes: Sizes


SUBJECTS = (
    Subject("mistral_7b", "Mistral 7B", (4, 1), Sizes(1, 512, SEQLEN)),
    Subject("gemma2", "Gemma 2 9B", (2, 1), Sizes(1, 512, SEQLEN)),
    Subject("packed_documents", "Llama 3 packed", (4, 1), Sizes(2, 1024, 1024)),
)


@dataclass(frozen=True, slots=True)
class Beside:
    """One call at SEQLEN, beside SDPA with the same mask as a tensor (None: it has no soft cap). Milliseconds."""

    ours: float
    sdpa: float | None


def beside_sdpa(spec: ag.AttentionSpec) -> Beside:
    """The better of two calls each, compiled and warm; the results are compared first."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from attngen.expr.evaluate import Env, evaluate
    from attngen.sample import sample

    device = "cuda" if torch.cuda.is_available() else "cpu"
    definition = spec.definition
    drawn = sample(definition, Sizes(1, SEQLEN, SEQLEN), {})
    q, k, v = (torch.from_numpy(x).to(device, torch.bfloat16) for x in (drawn.q, drawn.k, drawn.v))
    values = {name: torch.from_numpy(x).to(device) for name, x in drawn.tensors.items()}
    attend = ag.compile(spec)

    def milliseconds(call: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
        best = float("inf")
        for _ in range(3):
            start = perf_counter()
            out = call()
            out.sum().item()  # waits for a GPU
            best = min(best, 1e3 * (perf_counter() - start))
        return best, out

    ours, out = milliseconds(lambda: attend(q, k, v, **values))
    if definition.score is not SCORE:
        return Beside(ours, None)
    arrays = {ref: drawn.tensors[ref.name] for ref in definition.tensors if ref.derived is None}
    rows = [
        evaluate(definition.mask, Env({
            "b": np.zeros((1, 1, 1, 1), np.int64), "h": np.zeros((1, 1, 1, 1), np.int64),
            "q": np.arange(start, start + 512).reshape(1, 1, -1, 1), "kv": np.arange(SEQLEN).reshape(1, 1, 1, -1),
        }, {"B": 1, "M": SEQLEN, "N": SEQLEN}, drawn.params, None, arrays))
        for start in range(0, SEQLEN, 512)
    ]  # fmt: skip
    mask = torch.from_numpy(np.concatenate(rows, axis=2)).to(device)
    group = definition.heads.group
    k, v = (x.repeat_interleave(group, dim=1) for x in (k, v))
    sdpa, theirs = milliseconds(lambda: F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
    if (out - theirs).abs().max().item() > 0.05:
        sys.exit(f"{spec.name}: SDPA gives something else")
    return Beside(ours, sdpa)


def run_subject(subject: Subject, step: Progress, task: int) -> tuple[Explanation, Verdict, Beside]:
    """Every stage of one subject; the files of each are written as it goes."""

    def next_step(what: str) -> None:
        step.update(task, description=f"{subject.title}: {what}", advance=1)

    spec = toml.load(ROOT / "examples" / f"{subject.name}.toml")
    next_step("explain")
    explained = ag.explain(spec, target="h100", seqlen=SEQLEN)
    (OUT / f"{subject.name}_explained.txt").write_text(explained.text + "\n", encoding="utf-8")
    for target, suffix in TARGETS.items():
        next_step(f"emit for {target}")
        (OUT / f"{subject.name}_{target}.{suffix}").write_text(ag.generate(spec, target=target).text, encoding="utf-8")
    fewer = spec.replace(heads=subject.heads)
    next_step("run against the oracle")
    verdict = judge(fewer, subject.sizes)
    next_step(f"run beside SDPA at {SEQLEN:,} tokens")
    beside = beside_sdpa(fewer)
    next_step("draw")
    save_pattern(pattern(spec, SEQLEN, SEQLEN, 128, 128), OUT / f"{subject.name}.png")
    return explained, verdict, beside


def show(rows: list[tuple[Subject, Explanation, Verdict, Beside]], console: Console) -> None:
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("variant", no_wrap=True)
    for heading in ("tiles", "on H100", "error/allowed", "here", "SDPA", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    for subject, explained, verdict, beside in rows:
        cost = explained.costs[-1]
        mark = "[green]✓[/]" if verdict.agrees else "[bold red]✗[/]"
        table.add_row(
            subject.title,
            f"{100 * cost.share:.1f} %",
            f"{cost.us / 1e3:.2f} ms",
            f"{verdict.error:.0e} {verdict.allowed:.0e} {mark}",
            f"{beside.ours:.0f} ms",
            f"{beside.sdpa:.0f} ms" if beside.sdpa else "cannot",
            f"[bold]{beside.sdpa / beside.ours:.1f}[/]" if beside.sdpa else "-",
        )
    console.print(table)
    console.print(
        f"tiles: visited at {SEQLEN:,} tokens; on H100: predicted, with all heads; error: of {rows[0][2].dtype} on "
        f"{rows[0][2].backend}, against float64;\n"
        f"here and SDPA: {SEQLEN:,} tokens with few heads, on this machine, wall time",
        soft_wrap=True,
    )


def tune(console: Console) -> None:
    """A quick sweep of the first subject on this machine's CPU, in a store of the demo's own."""
    spec = toml.load(ROOT / "examples" / f"{SUBJECTS[0].name}.toml").replace(heads=SUBJECTS[0].heads)
    with console.status("tune: plans beside the untuned one, each checked first") as status:
        tuned = ag.tune(
            spec,
            [TUNED],
            "cpu",
            store=OUT / "records.sqlite",
            progress=lambda now: status.update(f"tune: {now.phase}, {now.done} turns, best so far {now.ratio:.2f}x"),
        )
    (result,) = tuned.results
    gain = "nothing beats the untuned plan beyond noise"
    if result.best != result.untuned:
        gain = f"{result.ratio:.2f} (±{result.noise:.2f}) times as fast as the untuned plan"
    plan = ", ".join(f"{name} {size}" for name, size in result.best.items())
    console.print(
        f"Tuned {SUBJECTS[0].title} at {TUNED:,} tokens on this CPU: {gain},\n  {plan}; {result.tried} plans tried of "
        f"{result.space:,}, {result.measured} turns measured, {result.reused} known ({result.seconds:.0f} s)",
        soft_wrap=True,
    )


def main() -> None:
    console = Console()
    OUT.mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    columns = (TextColumn("{task.description:<55}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    rows = []
    with Progress(*columns, console=console, transient=True) as step:
        task = step.add_task("", total=len(SUBJECTS) * (len(TARGETS) + 4))
        for subject in SUBJECTS:
            rows.append((subject, *run_subject(subject, step, task)))
    show(rows, console)
    console.print(
        f"In {OUT.relative_to(ROOT)}/: {len(SUBJECTS) * len(TARGETS)} kernels, {len(SUBJECTS)} pictures, "
        f"{len(SUBJECTS)} explanations ({perf_counter() - start:.0f} s)"
    )
    tune(console)
    if not all(verdict.agrees for _, _, verdict, _ in rows):
        sys.exit("a kernel disagrees with the oracle")


if __name__ == "__main__":
    main()
