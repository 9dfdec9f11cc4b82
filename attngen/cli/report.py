"""``attngen report``: what was tuned, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    store: Annotated[Path | None, typer.Argument(metavar="[STORE]", help="Instead of the store of the cache.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The HTML file.")] = Path("report.html"),
) -> None:
    """Write what was tried and why the winner wins: one file that stands alone, for a browser or an attachment."""
    from attngen.cli.output import check_target_file, console, printable, write_text
    from attngen.records.store import Store
    from attngen.report.page import report as render

    check_target_file(out)
    with Store.open(store, readonly=True) as opened:
        write_text(out, render(opened))
    console(stderr=True).print(f"written: {printable(str(out))}", markup=False)
