"""The commands by name, and the options that stand before a command."""

from __future__ import annotations

from typing import Annotated

import typer

from attngen import __version__
from attngen.cli import build, check, doctor, explain, fuzz, generate, records, report, run, show, targets, tune


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"attngen {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="attngen",
    help="One definition of an attention variant; a readable, checked kernel for every GPU that needs it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _before(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None: ...


app.command()(generate.generate)
app.command()(explain.explain)
app.command()(show.show)
app.command()(run.run)
app.command()(build.build)
app.command()(check.check)
app.command()(fuzz.fuzz)
app.command()(tune.tune)
app.add_typer(records.app, name="records")
app.command()(report.report)
app.command()(targets.targets)
app.command()(doctor.doctor)
