"""``attngen tune``: measure plans at the lengths that matter, and keep the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attngen.cli.options import AsJson, DtypeName, SpecPath, Values
from attngen.errors import SpecError

if TYPE_CHECKING:
    from attngen.tune.result import Progress, Result, Tuned

_SHOWN = 5
"""Failures that are printed; the store has all of them."""


def tune(
    spec: SpecPath,
    target: Annotated[
        str, typer.Option("--target", "-t", metavar="T", help="cpu: this machine. A GPU that is here, else --static.")
    ] = "cpu",
    seqlen: Annotated[
        str, typer.Option("--seqlen", "-n", metavar="N,...", help="Keys, and queries too unless --queries is given.")
    ] = "4096",
    queries: Annotated[
        int | None, typer.Option("--queries", "-m", min=1, help="Queries: 1 to 16 for a decoding step.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", "-b", min=1)] = 1,
    effort: Annotated[str, typer.Option("--effort", "-e", metavar="E", help="quick (seconds) or full (minutes).")] = (
        "quick"
    ),
    budget_s: Annotated[
        float | None, typer.Option("--budget-s", min=1.0, metavar="S", help="Seconds for all lengths together.")
    ] = None,
    dtype: DtypeName = None,
    param: Values = None,
    store: Annotated[
        Path | None, typer.Option("--store", metavar="PATH", help="The file of results. Default: the user's.")
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="For a GPU, without one: rank compiled plans by the model.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Show first what is known already. Sweeps always go on where they were.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Time plans beside the untuned one, each checked against the oracle first, and store the best.

    `attngen.compile` takes it from then on (not with ATTNGEN_TUNED=0). Every turn is kept as it is made. Ctrl-C ends
    with what is known, exit code 130; the same command goes on from there.
    """
    from attngen.cli.options import load_spec, parse_values
    from attngen.cli.output import console, print_json
    from attngen.tune.session import tune as run

    loaded, values, shapes = load_spec(spec), parse_values(param), _shapes(seqlen, queries, batch)
    if resume and not as_json:
        console(stderr=True).print(_known(loaded.fingerprint, store))
    with _shown(as_json) as progress:
        tuned = run(
            loaded,
            shapes,
            target,
            dtype=dtype,
            effort=effort,
            budget_s=budget_s,
            store=store,
            values=values,
            progress=progress,
            static=static,
        )
    if as_json:
        print_json(tuned.to_json())
    else:
        _print(tuned)
    if tuned.interrupted:
        raise typer.Exit(130)


def _shapes(text: str, queries: int | None, batch: int) -> list[tuple[int, int, int]]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isascii() and word.isdigit() and 0 < int(word[:12]) < 2**31 for word in words):
        raise SpecError(f"`{text}` is no list of lengths", place="--seqlen", remedy="write --seqlen 1024,4096")
    return [(batch, queries or int(word), int(word)) for word in words]


def _known(fingerprint: str, path: Path | None) -> str:
    """What the store holds of this spec."""
    from attngen.records.store import Store

    with Store.open(path) as store:
        rows = [len(store.measurements(subject=one)) for one in store.subjects() if one.spec == fingerprint]
        decisions = sum(one.subject.spec == fingerprint for one in store.decisions())
        return f"{store.path}: {sum(rows)} turns of {len(rows)} shapes, {decisions} decisions of this spec"


@contextmanager
def _shown(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr: turns, the best so far, and how much time is left."""
    if quiet:
        yield None
        return
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    from attngen.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[said]}"))
    here = console(stderr=True)
    with Bar(*columns, console=here, transient=True, disable=not here.is_terminal) as bar:
        task = bar.add_task("starting", total=None, said="")

        def show(now: Progress) -> None:
            best = f"best so far {now.ratio:.2f}x" if now.ratio > 1 else "the untuned plan leads"
            said = f"{best}, at most {max(0.0, now.left_s):.0f} s left"
            bar.update(task, description=f"{now.shape}: {now.phase}", completed=now.done, total=now.expected, said=said)

        yield show


def _print(tuned: Tuned) -> None:
    from attngen.cli.output import console

    out = console()
    for one in tuned.results:
        out.print(f"{one.shape} tokens: {_said(one)}", markup=False)
        out.print(
            f"  {one.tried} of {one.space:,} plans tried, {one.failed} failed; "
            f"{one.measured} turns measured, {one.reused} reused; {one.seconds:.1f} s"
        )
        for plan, reason in one.failures[:_SHOWN]:
            out.print(f"  failed: {_words(plan)}: {reason}", markup=False)
        if one.note:
            out.print(f"  {one.note}", markup=False)
    if tuned.interrupted:
        out.print("interrupted: nothing was decided; the same command goes on from here")
    out.print(f"kept in {tuned.store}", markup=False)


def _said(one: Result) -> str:
    if not one.decided:
        return f"not decided; best so far {one.ratio:.3f} times as fast as the untuned plan\n  {_words(one.best)}"
    if one.best == one.untuned:
        return f"nothing beats the untuned plan beyond noise, {_words(one.best)}"
    how = "by the model" if one.kind == "static" else f"±{one.noise:.3f}, measured anew"
    return f"{one.ratio:.3f} times as fast as the untuned plan ({how})\n  {_words(one.best)}"


def _words(plan: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in plan.items())
