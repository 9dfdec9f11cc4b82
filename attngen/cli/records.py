"""``attngen records``: what was measured here, and how to carry it elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attngen.cli.options import AsJson, StorePath
from attngen.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attngen.records.row import Decision, Measurement
    from attngen.records.store import Store
    from attngen.records.summary import Summary

app = typer.Typer(no_args_is_help=True, help="List, carry, compare and prune the measurements of `attngen tune`.")
Lines = Annotated[Path, typer.Argument(metavar="FILE", help="Lines of JSON that `export` wrote; `-` is stdin.")]
Side = Annotated[Path, typer.Argument(metavar="STORE|FILE", help="A store, or lines of JSON that `export` wrote.")]


@app.command("list")
def list_(store: StorePath = None, as_json: AsJson = False) -> None:
    """One line a subject: what won, by how much, and how much was tried."""
    from attngen.records.summary import summaries

    with _open(store, readonly=True) as opened:
        found = summaries(opened)
    if as_json:
        from attngen.cli.output import print_json

        print_json([_record(one) for one in found])
    else:
        from attngen.cli.record_tables import print_summaries

        print_summaries(found)


@app.command()
def export(
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Instead of stdout.")] = None,
    store: StorePath = None,
) -> None:
    """Every row as a line of JSON."""
    import io

    from attngen.cli.output import console, printable, write_text
    from attngen.records import lines

    with _open(store, readonly=True) as opened:
        text = io.StringIO()
        count = lines.export(opened, text)
    if out is None:
        sys.stdout.write(text.getvalue())
    else:
        write_text(out, text.getvalue())
        console(stderr=True).print(f"{count} records in {printable(str(out))}", markup=False)


@app.command("import")
def import_(file: Lines, store: StorePath = None, as_json: AsJson = False) -> None:
    """Add the rows of a file. Those that are here already stay as they are; a bad line adds nothing."""
    rows = list(_lines(file))
    with _open(store) as opened:
        added, known = opened.extend(rows)
    _tell({"added": added, "known": known}, f"{added} added, {known} known already", as_json)


@app.command()
def prune(
    older_than: Annotated[float | None, typer.Option("--older-than", metavar="DAYS", min=0, help="By age.")] = None,
    spec: Annotated[str | None, typer.Option("--spec", metavar="S", help="By the name of a spec, or its hash.")] = None,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Delete rows that are older than DAYS, or of a spec; with both, those that are both."""
    if older_than is None and spec is None:
        raise StoreError("nothing to prune by", place="prune", remedy="give --older-than DAYS, or --spec NAME, or both")
    with _open(store) as opened:
        gone = opened.prune(older_than_days=older_than, spec=spec)
    _tell({"deleted": gone}, f"{gone} deleted", as_json)


@app.command()
def diff(a: Side, b: Side, as_json: AsJson = False) -> None:
    """Plan by plan: seconds of a call in A and in B, the largest change first."""
    from attngen.records.difference import diff as compare

    found = compare(_rows(a), _rows(b))
    if as_json:
        from dataclasses import asdict

        from attngen.cli.output import print_json

        print_json([{**asdict(one), "ratio": one.ratio} for one in found])
    else:
        from attngen.cli.record_tables import print_differences

        print_differences(found)


@contextmanager
def _open(path: Path | None, *, readonly: bool = False) -> Iterator[Store]:
    from attngen.cli.output import console
    from attngen.records.store import Store

    with Store.open(path, readonly=readonly) as store:
        if store.set_aside:
            console(stderr=True).print(f"warning: {store.set_aside}", markup=False)
        yield store


def _lines(file: Path) -> Iterator[Measurement | Decision]:
    from attngen.records import lines

    # a byte that is no UTF-8 becomes what no record may hold, and is refused with its line
    if str(file) == "-":
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
        yield from lines.read(sys.stdin, "stdin")
        return
    with open(file, encoding="utf-8", errors="surrogateescape") as source:
        yield from lines.read(source, str(file))


def _rows(path: Path) -> list[Measurement | Decision]:
    """Of a store or of lines, which may come from a pipe: it can be read once."""
    from attngen.records import lines

    content = path.read_bytes()
    if not content.startswith(b"SQLite format 3"):
        return list(lines.read(content.decode(errors="surrogateescape").splitlines(), str(path)))
    with _open(path, readonly=True) as store:
        return [*store.measurements()]


def _tell(record: dict[str, int], text: str, as_json: bool) -> None:
    from attngen.cli.output import console, print_json

    if as_json:
        print_json(record)
    else:
        console().print(text)


def _record(one: Summary) -> dict[str, object]:
    from dataclasses import asdict

    decided = one.decision
    verdict = decided and {
        "plan": decided.configuration.plan, "untuned": decided.untuned, "ratio": decided.ratio, "noise": decided.noise,
        "at": decided.at, "sweep": decided.sweep,
    }  # fmt: skip
    counts = {"tried": one.tried, "failed": one.failed, "turns": one.turns}
    return {"subject": asdict(one.subject), "decision": verdict, **counts}
