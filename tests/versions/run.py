"""``make versions``: the core of the tests and of the builds on every supported Triton, in an environment of its own.

Environments lie in build/versions/ and are kept until pyproject.toml changes. The table at the end says what passed;
the exit code is 1 if anything did not, a version that could not be installed included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "versions"
VERSIONS = ("3.6.0", "3.7.1", "3.8.0", "3.9.0")
TOOLS = ("pytest>=8.2", "hypothesis>=6.100")

CORE: dict[str, tuple[str, ...]] = {
    # what depends on Triton: its interpreter (and our repair of it), its launcher, its compiler and what that makes
    "launcher": ("tests/runtime", "--ignore", "tests/runtime/native"),
    "oracle": (
        "tests/oracle/test_checks_can_fail.py",
        "tests/oracle/test_descriptors.py",
        "tests/oracle/test_vocabulary.py",
        "-k",
        "not test_vocabulary or (test_mask and bf16) or (test_score and fp16) or test_layouts",
    ),
    "machine code": ("tests/machine_code",),
    "building": ("tests/building",),
}
"""Columns of the table, each some arguments of pytest."""
CHECKED = ("causal", "gemma2", "packed_documents")
"""Examples that are built for every target and held to the gates."""


@dataclass(frozen=True)
class Cell:
    """What one part of the core gave. ``text`` is for the table, ``output`` for whoever asks why."""

    ok: bool
    text: str
    output: str = ""


@dataclass(frozen=True)
class Row:
    """One version. ``installed`` names the packages, or says why there are none."""

    version: str
    installed: Cell
    cells: dict[str, Cell] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.installed.ok and all(cell.ok for cell in self.cells.values())


def pinned_torch() -> str:
    """The torch of the project, which runs with every Triton here."""
    found = re.search(r'"(torch==[0-9.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert found is not None, "pyproject.toml pins torch for its developers"
    return found[1]


def run(command: Sequence[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    """In the project's root, with both outputs as one text; nothing of the caller's Triton settings is left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRITON_", "ATTNGEN_"))}
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def install(version: str, folder: Path) -> Cell:
    """Make the environment, or take the one that is there."""
    project = (ROOT / "pyproject.toml").read_bytes()
    stamp = folder / f"stamp-{hashlib.sha256(project + repr(TOOLS).encode()).hexdigest()[:16]}"
    python = folder / "bin" / "python"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        uv = shutil.which("uv")
        rest = [uv, "pip", "install", "--quiet", "--python", python] if uv else pip
        for command in (
            [sys.executable, "-m", "venv", folder],
            [*pip, pinned_torch()],
            # torch built for CUDA asks for one Triton: it gets another one here, on purpose
            [*pip, "--no-deps", f"triton=={version}"],
            [*rest, "--editable", ".", *TOOLS],
        ):
            done = run(command)
            if done.returncode:
                return Cell(False, why_not(done.stdout, version), done.stdout)
        stamp.touch()
    names = ("triton", "torch", "numpy")
    code = f"import importlib.metadata as m; print(*(m.version(name) for name in {names}))"
    done = run([python, "-c", code])
    found = done.stdout.split()
    if done.returncode or found[0] != version:
        return Cell(False, f"the environment has {done.stdout.strip()[-80:]}", done.stdout)
    return Cell(True, f"torch {found[1]}, numpy {found[2]}")


def why_not(output: str, version: str) -> str:
    """The installer's reason in a few words."""
    if "No matching distribution found for triton" in output:
        return f"triton {version} is not on the package index"
    lines = [line for line in output.splitlines() if line.strip()]
    return f"not installed: {lines[-1][:100] if lines else 'no message'}"


def tests(python: Path, name: str, folder: Path) -> Cell:
    """One part of the core."""
    report = folder / f"{name.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "--hypothesis-seed=0", f"--junitxml={report}"]
    done = run([python, "-m", "pytest", *options, *CORE[name]], HYPOTHESIS_STORAGE_DIRECTORY=str(folder / "hypothesis"))
    return counted(report.read_text(encoding="utf-8") if report.exists() else "", done.returncode, done.stdout)


def counted(report: str, code: int, output: str) -> Cell:
    """A JUnit report as a cell. A run without a single passed test is not a success."""
    if not report:
        return Cell(False, f"no report, exit code {code}", output)
    suite = ElementTree.fromstring(report).find("testsuite")
    assert suite is not None
    total, failed, errors, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped"))
    passed = total - failed - errors - skipped
    numbers = ((passed, "passed"), (failed + errors, "failed"), (skipped, "skipped"))
    text = ", ".join(f"{number} {word}" for number, word in numbers if number or word == "passed")
    return Cell(code == 0 and passed > 0, text, output)


def builds(python: Path, folder: Path) -> Cell:
    """``attngen check`` of a few examples for every target, compiled anew by a compiler that changed."""
    specs = [f"examples/{name}.toml" for name in CHECKED]
    command = [python, "-m", "attngen", "check", *specs, "--workers", "1", "--json"]
    done = run(command, ATTNGEN_CACHE_DIR=str(folder / "cache"))
    return judged(done.stdout, done.returncode)


def judged(output: str, code: int) -> Cell:
    """The rows of ``attngen check --json`` as a cell."""
    try:
        rows = json.loads(output[output.index("[") :])
    except ValueError:
        return Cell(False, f"no answer, exit code {code}", output)
    counts = {state: sum(row["status"] == state for row in rows) for state in ("ok", "refused", "failed")}
    text = ", ".join(f"{number} {state}" for state, number in counts.items() if number or state == "ok")
    wrong = [f"{row['example']} {row['target']}: {row['reason']}" for row in rows if row["status"] == "failed"]
    return Cell(code == 0 and not counts["failed"] and counts["ok"] > 0, text, "\n".join(wrong))


def try_version(version: str) -> Row:
    """Install, then run everything; a part that fails does not keep the others from running."""
    started = time.monotonic()
    folder = FOLDER / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    installed = install(version, folder)
    if not installed.ok:
        return Row(version, installed, seconds=time.monotonic() - started)
    python = folder / "bin" / "python"
    cells = {name: tests(python, name, folder) for name in CORE}
    cells["builds"] = builds(python, folder)
    return Row(version, installed, cells, time.monotonic() - started)


def as_table(rows: Sequence[Row]) -> Table:
    table = Table("triton", "with", title="The core on every Triton", box=None, header_style="bold")
    for name in (*CORE, "builds"):
        table.add_column(name)
    table.add_column("min", justify="right")
    for row in rows:
        cells = [row.cells.get(name, Cell(False, "-")) for name in (*CORE, "builds")]
        marks = [("", "") if cell.ok else ("[bold red]", "[/]") for cell in (row.installed, *cells)]
        texts = [a + escape(cell.text) + b for (a, b), cell in zip(marks, (row.installed, *cells), strict=True)]
        table.add_row(row.version, *texts, f"{row.seconds / 60:.1f}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make versions", description=__doc__)
    parser.add_argument(
        "versions", nargs="*", default=VERSIONS, help=f"of triton; {', '.join(VERSIONS)} if none is given"
    )
    parser.add_argument("--jobs", type=int, default=1, help="versions at once")
    options = parser.parse_args(arguments)
    console = Console()
    with ThreadPoolExecutor(options.jobs) as pool:
        rows = []
        for row in pool.map(try_version, options.versions):
            rows.append(row)
            console.print(f"triton {row.version}: {'passed' if row.ok else 'FAILED'} in {row.seconds / 60:.1f} min")
    for row in rows:
        for name, cell in (("installation", row.installed), *row.cells.items()):
            if not cell.ok:
                console.rule(f"triton {row.version}, {name}")
                console.print(cell.output[-6000:], markup=False, highlight=False)
    console.print(as_table(rows))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
