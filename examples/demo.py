"""Three real models, from spec to checked kernel: explain, emit, run against the oracle, draw.

    make demo

Files go to build/demo/. Kernels run on a GPU where there is one, else in Triton's interpreter; heads are
fewer than in the model and queries are the last of the sequence, so that it is quick, while windows and head
dimensions are the real ones.
"""

from __future__ import annotations

import sys
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
from attngen.language import toml
from attngen.sample import Sizes

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "demo"
TARGETS = ("h100", "a100", "mi300x")
SEQLEN = 8192


@dataclass(frozen=True, slots=True)
class Subject:
    """An example, and the size at which its kernel is run."""

    name: str
    title: str
    heads: tuple[int, int]
    sizes: Sizes


SUBJECTS = (
    Subject("mistral_7b", "Mistral 7B", (4, 1), Sizes(1, 96, 4500)),
    Subject("gemma2", "Gemma 2 9B", (2, 1), Sizes(1, 96, 4500)),
    Subject("packed_documents", "Llama 3 packed", (4, 1), Sizes(2, 600, 600)),
)


def run_subject(subject: Subject, step: Progress, task: int) -> tuple[Explanation, Verdict, int]:
    """Every stage of one subject; the files of each are written as it goes."""

    def next_step(what: str) -> None:
        step.update(task, description=f"{subject.title}: {what}", advance=1)

    spec = toml.load(ROOT / "examples" / f"{subject.name}.toml")
    next_step("explain")
    explained = ag.explain(spec, target="h100", seqlen=SEQLEN)
    (OUT / f"{subject.name}_explained.txt").write_text(explained.text + "\n", encoding="utf-8")
    lines = 0
    for target in TARGETS:
        next_step(f"emit for {target}")
        text = ag.generate(spec, target=target).text
        (OUT / f"{subject.name}_{target}.py").write_text(text, encoding="utf-8")
        lines = text.count("\n")
    next_step("run against the oracle")
    verdict = judge(spec.replace(heads=subject.heads), subject.sizes)
    next_step("draw")
    save_pattern(pattern(spec, SEQLEN, SEQLEN, 128, 128), OUT / f"{subject.name}.png")
    return explained, verdict, lines


def show(rows: list[tuple[Subject, Explanation, Verdict, int]], console: Console) -> None:
    table = Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("variant", no_wrap=True)
    for heading in ("tiles", "time", "full", "run at", "error/allowed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for subject, explained, verdict, _ in rows:
        cost = explained.costs[-1]
        mark = "[green]✓[/]" if verdict.agrees else "[bold red]✗[/]"
        table.add_row(
            subject.title,
            f"{100 * cost.share:.1f} %",
            f"{cost.us / 1e3:.2f} ms",
            f"{cost.us_of_full_attention / 1e3:.2f} ms",
            verdict.shape,
            f"{verdict.error:.0e} {verdict.allowed:.0e} {mark}",
        )
    console.print(table)
    console.print(
        f"tiles: visited at {SEQLEN:,} tokens; time and full: predicted on H100, with this mask and with none;\n"
        f"run at: batch x query/key heads x queries x keys, {rows[0][2].dtype}, {rows[0][2].backend}, against float64",
        soft_wrap=True,
    )


def main() -> None:
    console = Console()
    OUT.mkdir(parents=True, exist_ok=True)
    start = perf_counter()
    columns = (TextColumn("{task.description:<55}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    rows = []
    with Progress(*columns, console=console, transient=True) as step:
        task = step.add_task("", total=len(SUBJECTS) * (len(TARGETS) + 3))
        for subject in SUBJECTS:
            rows.append((subject, *run_subject(subject, step, task)))
    show(rows, console)
    console.print(
        f"In {OUT.relative_to(ROOT)}/: {len(SUBJECTS) * len(TARGETS)} kernels of about {rows[0][3]} lines, "
        f"{len(SUBJECTS)} pictures, {len(SUBJECTS)} explanations ({perf_counter() - start:.0f} s)"
    )
    if not all(verdict.agrees for _, _, verdict, _ in rows):
        sys.exit("a kernel disagrees with the oracle")


if __name__ == "__main__":
    main()
