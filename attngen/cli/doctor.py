"""``attngen doctor``: what is installed here, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Annotated

import typer

from attngen.cli.options import AsJson

NEEDED = ("numpy", "networkx", "jinja2", "islpy", "typer", "rich", "platformdirs")
TRITON_SERIES = ((3, 6), (3, 10))  # from the first on, below the second


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: ``state`` is ok, warn (something does without it) or bad (nothing works without it)."""

    subject: str
    state: str
    detail: str
    remedy: str = ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> list[Finding]:
    found = []
    for package in NEEDED:
        version = _version(package)
        ok = version is not None
        found.append(
            Finding(package, "ok" if ok else "bad", version or "absent", "" if ok else f"pip install {package}")
        )
    return found


def _torch() -> Finding:
    version = _version("torch")
    if version is None:
        return Finding("torch", "warn", "absent: specs, plans and sources can be made, kernels cannot be run",
                       "pip install 'attngen[torch]'")  # fmt: skip
    return Finding("torch", "ok", version)


def _triton() -> Finding:
    version = _version("triton")
    if version is None:
        return Finding(
            "triton", "warn", "absent: kernels can be emitted, not run", "pip install 'attngen[torch]' (Linux)"
        )
    series = tuple(int(part) for part in version.split(".")[:2])
    low, high = TRITON_SERIES
    if low <= series < high:
        return Finding("triton", "ok", version)
    remedy = f"pip install 'triton>={low[0]}.{low[1]},<{high[0]}.{high[1]}'"
    return Finding("triton", "warn", f"{version}: emitted kernels are tested with 3.6 to 3.9", remedy)


def _gpu() -> Finding:
    if _version("torch") is None:
        return Finding("GPU", "warn", "not looked for: torch is absent")
    from attngen.errors import AttngenError
    from attngen.targets.probe import device_arch, probe_target

    try:
        name, arch = device_arch()
    except AttngenError:
        return Finding("GPU", "warn", "none seen by torch: kernels run on the CPU")
    try:
        return Finding("GPU", "ok", f"{name} ({arch}), planned for as {probe_target().name}")
    except AttngenError as error:
        return Finding("GPU", "warn", error.what, error.remedy)


def _cpu() -> Finding:
    from attngen.errors import AttngenError
    from attngen.runtime.native.isa import detect

    try:
        cpu = detect()
    except AttngenError as error:
        return Finding("CPU", "warn", error.what, error.remedy)
    dot = ", products of bf16 pairs" if cpu.dot_bf16 else ""
    return Finding("CPU", "ok", f"{cpu.arch}: {cpu.registers} vectors of {8 * cpu.vector_bytes} bits{dot}")


def _compiler() -> Finding:
    from attngen.errors import AttngenError
    from attngen.runtime.native.compiler import find_compiler

    try:
        return Finding("C++ compiler", "ok", str(find_compiler()))
    except AttngenError as error:
        return Finding("C++ compiler", "warn", f"{error.what}: kernels cannot run on the CPU", error.remedy)


def _rates(measure: bool) -> Finding:
    """What the planner knows of a core; ``measure`` it now, in a few seconds."""
    from attngen.errors import AttngenError
    from attngen.runtime.native.isa import detect
    from attngen.runtime.native.probed import probe, stored_rates
    from attngen.targets.cpu import nominal_rates

    try:
        cpu = detect()
        if measure:
            probe(cpu)
    except AttngenError as error:
        return Finding("CPU rates", "warn", error.what, error.remedy)
    found = stored_rates(cpu)
    rates = found or nominal_rates(cpu)
    pairs = f", {rates.dot_gflops:.0f} in products of bf16 pairs" if rates.dot_gflops else ""
    detail = f"{rates.fma_gflops:.0f} GFLOP/s{pairs}, reads {rates.read_gbps:.0f} GB/s {rates.source}"
    return Finding("CPU rates", "ok", detail, "" if found else "attngen doctor --probe measures them for the planner")


def _interpreter() -> Finding:
    from attngen.runtime.interpreter import interpreting

    if interpreting():
        return Finding("interpreter", "ok", "TRITON_INTERPRET is on: Triton kernels are interpreted on CPU tensors")
    return Finding("interpreter", "ok", "off; `attngen run --backend triton` turns it on where there is no GPU")


def _plots() -> Finding:
    version = _version("matplotlib")
    if version is None:
        return Finding("matplotlib", "warn", "absent: `attngen show -o` cannot draw", "pip install 'attngen[plot]'")
    return Finding("matplotlib", "ok", version)


def _cache() -> Finding:
    from attngen.runtime.cache import default_root

    path = default_root()
    nearest = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not os.access(nearest, os.W_OK):
        return Finding("cache", "bad", f"{path} cannot be written", "set ATTNGEN_CACHE_DIR to a directory of yours")
    if not path.is_dir():
        return Finding("cache", "ok", f"{path} (not made yet)")
    files = [entry for entry in path.rglob("*") if entry.is_file()]
    size = sum(entry.stat().st_size for entry in files)
    return Finding("cache", "ok", f"{path} ({len(files)} files, {size / 2**20:.1f} MiB)")


def doctor(
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure a core of this CPU, in a few seconds, and plan with that.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is installed, which GPU is there, and how to get what is missing."""
    from attngen import __version__
    from attngen.cli.output import console, print_json

    python = f"{platform.python_version()} ({sys.executable})"
    findings = [
        Finding("attngen", "ok", __version__),
        Finding("Python", "ok", python),
        *_packages(),
        _torch(),
        _triton(),
        _gpu(),
        _cpu(),
        _compiler(),
        _rates(probe),
        _interpreter(),
        _plots(),
        _cache(),
    ]
    healthy = all(finding.state != "bad" for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        from rich.table import Table

        marks = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "bad": "[red]✗[/]"}
        table = Table(box=None, show_header=False, pad_edge=False)
        for finding in findings:
            remedy = f"\n[dim]→ {_escaped(finding.remedy)}[/]" if finding.remedy else ""
            table.add_row(marks[finding.state], finding.subject, _escaped(finding.detail) + remedy)
        console().print(table)
    if not healthy:
        raise typer.Exit(1)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
