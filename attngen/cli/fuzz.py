"""``attngen fuzz``: random specs, lengths and layouts through kernels, against the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attngen.cli.options import AsJson
from attngen.errors import SpecError

if TYPE_CHECKING:
    from attngen.fuzz.run import State

FOLDER = Path("fuzz-failures")


def fuzz(
    cases: Annotated[int | None, typer.Option("--cases", min=1, metavar="N", help="Cases of each kind.")] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.0, metavar="M", help="Stop after M minutes.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="S", help="Which stream of cases.")] = 0,
    backend: Annotated[
        str | None, typer.Option("--backend", metavar="B", help="triton (interpreted, the default) or cpu.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, metavar="J", help="Processes.")] = 2,
    only: Annotated[
        str | None, typer.Option("--only", metavar="KIND", help="kernels, or cheap: schedules, texts and traces.")
    ] = None,
    sanitize: Annotated[
        bool, typer.Option("--sanitize", help="With --backend cpu: kernels under ASan and UBSan, in a child.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last run of this seed stopped.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw random cases of the whole language and compare each kernel with the oracle, without a GPU.

    A failure is made small and written to fuzz-failures/ as a script that stands alone; the exit code is then 1.
    """
    from math import isfinite
    from time import monotonic

    from attngen.cli.run import prepare_torch
    from attngen.fuzz.run import KINDS, State, document, run, state_path, write_scripts
    from attngen.runtime.cache import generator_identity

    if only is not None and only not in KINDS:
        raise SpecError(f"{only!r} is no kind of case", place="--only", remedy=f"use {' or '.join(KINDS)}")
    if backend not in (None, "triton", "cpu"):
        raise SpecError(f"{backend!r} is no backend", place="--backend", remedy="use triton or cpu, or leave it out")
    if minutes is not None and not isfinite(minutes):
        raise SpecError(f"{minutes} minutes never end", place="--minutes", remedy="give a number, or --cases")
    if sanitize:
        _in_a_sanitized_child(backend)
    prepare_torch("cpu" if backend == "cpu" else "triton")
    cases = 1000 if cases is None and minutes is None else cases
    path = state_path(seed, generator_identity()["generator"], backend)
    state = State.load(path, seed) if resume else State(seed)
    before = len(state.failures)
    kinds = KINDS if only is None else (only,)
    start = monotonic()
    with _Progress(kinds, cases, minutes) as progress:

        def report(now: State) -> None:
            now.save(path)
            progress.show(now)

        seconds = None if minutes is None else 60 * minutes
        try:
            run(state, kinds, cases=cases, seconds=seconds, jobs=jobs, backend=backend, report=report)
        finally:
            scripts = write_scripts(state.failures[before:], FOLDER)
    if as_json:
        from attngen.cli.output import print_json

        print_json(document(state, monotonic() - start, scripts))
    else:
        _print(state, monotonic() - start, scripts)
    if state.failures:
        raise typer.Exit(1)


def _in_a_sanitized_child(backend: str | None) -> None:
    """The same command again where kernels are instrumented; returns only in that child."""
    import subprocess
    import sys

    from attngen.runtime.native.compiler import find_compiler
    from attngen.runtime.native.sanitize import sanitized_environment, sanitizing

    if backend != "cpu":
        raise SpecError("--sanitize is for native kernels", place="--sanitize", remedy="add --backend cpu")
    if not sanitizing():
        command = [sys.executable, "-m", "attngen", *sys.argv[1:]]
        raise typer.Exit(subprocess.run(command, env=sanitized_environment(find_compiler()), check=False).returncode)


class _Progress:
    """One line on stderr: cases, failures, time."""

    def __init__(self, kinds: tuple[str, ...], cases: int | None, minutes: float | None) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        from attngen.cli.output import console

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console(stderr=True), transient=True)
        self._task = self._bar.add_task("fuzzing", total=None if cases is None else cases * len(kinds))
        self._kinds = kinds

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, state: State) -> None:
        counts = ", ".join(f"{state.cases[kind]:,} {kind}" for kind in self._kinds)
        text = f"seed {state.seed}: {counts}, {len(state.failures)} failures"
        done = sum(state.cases[kind] for kind in self._kinds) + state.refused
        self._bar.update(self._task, completed=done, description=text)


def _print(state: State, seconds: float, scripts: list[Path]) -> None:
    from attngen.cli.output import console

    out = console()
    for failure in state.failures:
        out.print(f"[bold red]{failure.kind} case {failure.index}[/]")
        for line in failure.problems[:6]:
            out.print(f"  {line}", markup=False)
    for path in scripts:
        out.print(f"written: {path}", markup=False)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in state.cases.items() if count)
    refused = f", {state.refused} refused with a reason" if state.refused else ""
    out.print(f"seed {state.seed}: {counts or 'no'} cases in {seconds:.0f} s, {len(state.failures)} failures{refused}")
