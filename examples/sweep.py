"""Several variants at several lengths: tuned, kept, reported. Ends at any moment, goes on where it was.

    python examples/sweep.py                                  three variants, about a minute and a half
    python examples/sweep.py --effort full --seqlen 1024,4096,16384
    python examples/sweep.py examples/gemma2.toml examples/mistral_7b.toml

Every turn is a row of build/sweep/records.sqlite as soon as it is made; the report, one HTML file, lies beside it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

import attngen as ag
from attngen.errors import AttngenError
from attngen.language import toml
from attngen.records.store import Store
from attngen.records.words import plan_words
from attngen.report.page import report
from attngen.tune.result import Progress as Now
from attngen.tune.result import Result, Tuned

ROOT = Path(__file__).resolve().parents[1]
SPECS = ("causal", "mistral_7b", "softcap_window")
FEWER_HEADS = {"causal": 4, "mistral_7b": (4, 1), "softcap_window": 4}
"""So that the examples are quick; a spec of your own is tuned as it is."""


def specs(paths: list[Path]) -> list[ag.AttentionSpec]:
    if paths:
        return [toml.load(path) for path in paths]
    loaded = [toml.load(ROOT / "examples" / f"{name}.toml") for name in SPECS]
    return [spec.replace(heads=FEWER_HEADS[spec.name]) for spec in loaded]


def line(spec: ag.AttentionSpec, one: Result) -> str:
    kept = one.best == one.untuned
    gain = "untuned plan kept" if kept else f"{one.ratio:.3f}x ±{one.noise:.3f}"
    return (
        f"{spec.name:<20} {one.shape:>14}  {gain:<18} {plan_words(one.best)}  ({one.measured} new, {one.reused} known)"
    )


def sweep(found: list[ag.AttentionSpec], shapes: list[int], effort: str, store: Store, console: Console) -> bool:
    """Whether all was done; a variant that cannot be tuned is said, and costs itself alone."""
    columns = (TextColumn("{task.description:<46}"), BarColumn(24), TextColumn("{task.fields[said]}"))
    whole = True
    for spec in found:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(spec.name, total=None, said="")

            def show(now: Now) -> None:
                said = f"best so far {now.ratio:.2f}x, at most {max(0.0, now.left_s):.0f} s"
                text = f"{spec.name} {now.shape}: {now.phase}"  # noqa: B023  # called before the next spec comes
                bar.update(task, description=text, completed=now.done, total=now.expected, said=said)  # noqa: B023

            try:
                tuned: Tuned = ag.tune(spec, shapes, "cpu", effort=effort, store=store, progress=show)
            except AttngenError as error:
                console.print(f"{spec.name}: {error}", style="red", markup=False)
                whole = False
                continue
        for one in tuned.results:
            console.print(line(spec, one), soft_wrap=True, markup=False, highlight=False)
        if tuned.interrupted:
            return False
    return whole


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("specs", nargs="*", type=Path, metavar="SPEC.toml")
    words.add_argument("--seqlen", default="1024,2048", help="lengths, with commas between them")
    words.add_argument("--effort", default="quick", choices=("quick", "full"))
    words.add_argument("--out", type=Path, default=ROOT / "build" / "sweep", help="a folder")
    given = words.parse_args()
    console, begun = Console(), perf_counter()
    given.out.mkdir(parents=True, exist_ok=True)
    with Store.open(given.out / "records.sqlite") as store:
        known = len(store.measurements())
        if known:
            console.print(f"{known} turns are known already: they are not measured again")
        shapes = [int(word) for word in given.seqlen.split(",")]
        whole = sweep(specs(given.specs), shapes, given.effort, store, console)
        page = given.out / "report.html"
        page.write_text(report(store), encoding="utf-8")
        rows = len(store.measurements())
    console.print(f"{rows} turns in {store.path}; report: {page} ({perf_counter() - begun:.0f} s)", soft_wrap=True)
    if not whole:
        sys.exit("not all of it was done; the same command goes on from here")


if __name__ == "__main__":
    main()
