"""Does some test notice each deliberate fault? ``python -m tests.mutants.run`` prints the table.

Each mutant lives in a copy of the project of its own; nothing here is touched. A fault counts as caught when
a test of its selection fails, or does not end. One that fails before any test runs
proves nothing and counts as broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.mutants.catalogue import ROOT, SELECTIONS, Mutant, mutants
from tests.mutants.child import PRELOADED, run_pytest
from tests.support.marks import write_part

COPIED = ("attngen", "templates", "tests", "examples", "docs", "pyproject.toml", "README.md")
LEAST_SHARE = 0.95
TIMEOUT_S = 600.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(PRELOADED)


@dataclass(frozen=True)
class Outcome:
    """``state``: caught, survived, timeout or broken; ``by``: the test that noticed."""

    state: str
    by: str
    seconds: float

    @property
    def caught(self) -> bool:
        return self.state in ("caught", "timeout")


def try_mutant(mutant: Mutant, root: Path = ROOT, timeout_s: float = TIMEOUT_S) -> Outcome:
    """The tests of one mutant, in a copy that is thrown away."""
    return _in_copy(root, SELECTIONS[mutant.tests], timeout_s, mutant)


def try_tests(selection: str, root: Path = ROOT, timeout_s: float = TIMEOUT_S) -> Outcome:
    """The same without a fault: it has to survive."""
    return _in_copy(root, SELECTIONS[selection], timeout_s, None)


def _in_copy(root: Path, tests: str, timeout_s: float, mutant: Mutant | None) -> Outcome:
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="attngen-mutant-") as folder:
        copy = Path(folder)
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(root / name, copy / name)
        if mutant is not None:
            path = copy / mutant.file
            path.write_text(mutant.applied(path.read_text(encoding="utf-8")), encoding="utf-8")
        arguments = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
        output = copy / "output.txt"
        child = _CONTEXT.Process(target=run_pytest, args=(folder, [*arguments, *shlex.split(tests)], str(output)))
        child.start()
        child.join(timeout_s)
        if child.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.join()
            return Outcome("timeout", "", time.monotonic() - begin)
        text = output.read_text(encoding="utf-8") if output.exists() else ""
    state = {0: "survived", 1: "caught"}.get(child.exitcode or 0, "broken")
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    by = failed[1].removeprefix("tests/") if failed else text[-300:] if state == "broken" else ""
    return Outcome(state, by, time.monotonic() - begin)


def run_all(
    chosen: Sequence[Mutant], jobs: int, done: Callable[[Mutant, Outcome], None] = lambda mutant, outcome: None
) -> list[Outcome]:
    """The outcomes, in order."""

    def one(mutant: Mutant) -> Outcome:
        outcome = try_mutant(mutant)
        done(mutant, outcome)
        return outcome

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, chosen))


def red_selections(names: Iterable[str], jobs: int, done: Callable[[], None] = lambda: None) -> list[str]:
    """Selections that fail without any fault: a mutant that they catch proves nothing."""

    def one(name: str) -> str:
        outcome = try_tests(name)
        done()
        return "" if outcome.state == "survived" else f"{name}: {outcome.state} {outcome.by}"

    with ThreadPoolExecutor(jobs) as pool:
        return [problem for problem in pool.map(one, names) if problem]


def share(chosen: Sequence[Mutant], outcomes: Sequence[Outcome]) -> float:
    """Caught, of those that are faults at all."""
    counted = [outcome.caught for mutant, outcome in zip(chosen, outcomes, strict=True) if not mutant.survives]
    return sum(counted) / max(1, len(counted))


def as_table(chosen: Sequence[Mutant], outcomes: Sequence[Outcome]) -> Table:
    table = Table("area", "mutant", "outcome", "by", "s", title="Deliberate faults", box=None)
    for mutant, outcome in zip(chosen, outcomes, strict=True):
        style = "" if outcome.caught or mutant.survives else "bold red"
        by = outcome.by or mutant.survives
        table.add_row(mutant.area, mutant.name, outcome.state, by, f"{outcome.seconds:.0f}", style=style)
    return table


def as_markdown(chosen: Sequence[Mutant], outcomes: Sequence[Outcome]) -> str:
    lines = ["| area | fault | file | outcome |", "| --- | --- | --- | --- |"]
    for mutant, outcome in zip(chosen, outcomes, strict=True):
        test = re.sub(r"\[.*", "", outcome.by).replace(".py::", "::")
        text = f"`{test}`" if outcome.caught and test else outcome.state
        if mutant.survives and not outcome.caught:
            text = f"survives: {mutant.survives}"
        lines.append(f"| {mutant.area} | {mutant.name} | `{mutant.file}` | {text} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="areas, or parts of names; all when left out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the outcomes there")
    parser.add_argument("--markdown", type=Path, help="put the table between the marks of this file")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a fault first")
    options = parser.parse_args()
    areas = {mutant.area for mutant in mutants()}
    wanted = [(word in areas, word) for word in options.only]
    chosen = [m for m in mutants() if not wanted or any(w == m.area if area else w in m.name for area, w in wanted)]
    selections = [] if options.trust else list(dict.fromkeys(mutant.tests for mutant in chosen))
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        checked = progress.add_task("tests without a fault", total=len(selections))
        red = red_selections(selections, options.jobs, lambda: progress.advance(checked))
        if red:
            console.print("red without any fault:", *red, sep="\n  ")
            return 2
        tried = progress.add_task("mutants", total=len(chosen))

        def done(mutant: Mutant, outcome: Outcome) -> None:
            progress.advance(tried)
            if not outcome.caught or not console.is_terminal:
                console.print(f"{outcome.state}: {mutant.area}, {mutant.name} ({outcome.seconds:.0f} s)")

        outcomes = run_all(chosen, options.jobs, done)
    Console(width=160).print(as_table(chosen, outcomes))
    caught, counted = sum(o.caught for o in outcomes), len(chosen)
    print(f"{caught} of {counted} caught; {share(chosen, outcomes):.1%} of those that change anything")
    if options.json:
        rows = [vars(m) | vars(o) for m, o in zip(chosen, outcomes, strict=True)]
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if options.markdown:
        write_part(options.markdown, "table", as_markdown(chosen, outcomes))
    broken = any(outcome.state == "broken" for outcome in outcomes)
    return 1 if broken or share(chosen, outcomes) < LEAST_SHARE else 0


if __name__ == "__main__":
    sys.exit(main())
