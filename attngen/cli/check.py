"""``attngen check``: build for every target and hold the machine code to the gates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attngen.cli.options import AsJson
from attngen.errors import SpecError

if TYPE_CHECKING:
    from attngen.building.check import Row
    from attngen.language.spec import AttentionSpec


def check(
    specs: Annotated[list[Path] | None, typer.Argument(metavar="SPEC...", help="Specs in TOML.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every example of the repository.")] = False,
    target: Annotated[
        str, typer.Option("--target", "-t", metavar="T,...", help="Devices or architectures; `all` for the usual ones.")
    ] = "all",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/machine-code.md instead.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that compile.")] = 2,
    as_json: AsJson = False,
) -> None:
    """Compile each spec for each target, read its machine code, and say which pairs pass. No GPU is needed.

    Exit code 1 if a pair failed; a refused pair carries its arithmetic and is no failure.
    """
    loaded = _load(specs or [], everything)
    rows = _run(loaded, _targets(target), workers)
    if as_json:
        from attngen.cli.output import print_json

        print_json([row.record() for row in rows])
    elif markdown:
        from attngen.building.document import document

        typer.echo(document(rows), nl=False)
    else:
        _print(rows)
    if any(row.status == "failed" for row in rows):
        raise typer.Exit(1)


def _load(paths: list[Path], everything: bool) -> list[tuple[str, AttentionSpec]]:
    from attngen.cli.gallery import repository
    from attngen.cli.options import load_spec

    if everything and paths:
        raise SpecError("--all takes every example", place=str(paths[0]), remedy="leave SPEC out, or leave --all out")
    if everything:
        paths = sorted((repository() / "examples").glob("*.toml"))
    if not paths:
        raise SpecError("no spec given", remedy="attngen check SPEC.toml, or attngen check --all")
    return [(path.stem, load_spec(path)) for path in paths]


def _targets(text: str) -> list[str]:
    from attngen.building.check import TARGETS
    from attngen.targets.load import find_target

    if text == "all":
        return list(TARGETS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        find_target(name)  # an unknown one is said before anything is compiled
    return names


def _run(specs: list[tuple[str, AttentionSpec]], targets: list[str], workers: int) -> list[Row]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from attngen.building.check import check as check_pairs
    from attngen.cli.output import console

    order = {(name, target): i for i, (name, target) in enumerate((n, t) for n, _ in specs for t in targets)}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    rows: list[Row] = []
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("building", total=len(order))
        for row in check_pairs(specs, targets, workers=workers):
            rows.append(row)
            progress.update(task, advance=1, description=f"{row.example} {row.target}")
    return sorted(rows, key=lambda row: order[row.example, row.target])


def _print(rows: list[Row]) -> None:
    from rich.table import Table

    from attngen.building.document import figures
    from attngen.cli.output import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("example", "target", "status", "plan", "registers", "full", "masked", "reason"):
        table.add_column(heading, justify="right" if heading in ("registers", "full", "masked") else "left")
    styles = {"ok": "green", "refused": "yellow", "failed": "bold red"}
    for row in rows:
        reason = row.reason.splitlines()[0] if row.reason else ""
        table.add_row(row.example, row.target, f"[{styles[row.status]}]{row.status}[/]", *figures(row), reason)
    out = console()
    out.print(table)
    counts = ", ".join(f"{sum(row.status == status for row in rows)} {status}" for status in styles)
    out.print(f"{counts}; full and masked: issue slots per 1000 FLOPs of the loop")
