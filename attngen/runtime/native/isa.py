"""Which vector instructions this machine has, and what each compiler must be told to use them.

A library is compiled for a named level, never for "this machine": a cache on a shared disk then serves
machines that are not alike, each taking the entries of its own level.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

from attngen.errors import TargetError
from attngen.targets.cpu import CPUS, CpuTarget, best_cpu, find_cpu

ANY_CPU = "cpu"
"""As a target at a call: the best level that the machine has."""
_CPUINFO = Path("/proc/cpuinfo")
_ZIG_FEATURES = {"avx512_bf16": "x86_64_v4+avx512bf16", "avx512": "x86_64_v4", "avx2": "x86_64_v3", "sse": "x86_64_v2"}


@cache
def features() -> frozenset[str]:
    """Words of the first processor in /proc/cpuinfo. The kernel lists only what it saves for a task: it may be used."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:  # another system: what every processor of the last fifteen years has
        machine = platform.machine().lower()
        return frozenset({"asimd"} if machine in ("arm64", "aarch64") else {"ssse3", "sse4_2"})
    line = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return frozenset(line.partition(":")[2].split())


def detect(asked: str | None = None) -> CpuTarget:
    """The level to compile for: the best one, or the one that was asked for if this machine has it."""
    best = best_cpu(features())
    if best is None:
        known = ", ".join(target.arch for target in CPUS)
        raise TargetError(
            f"this processor ({platform.machine()}) has none of: {known}",
            place="this machine",
            remedy='compile(spec, backend="triton") with TRITON_INTERPRET=1 interprets the kernel, slowly',
        )
    if asked is None or asked.lower() == ANY_CPU:
        return best
    target = find_cpu(asked)
    if target is None:
        raise TargetError(f"`{asked}` is no CPU", remedy=f"use {', '.join(t.arch for t in CPUS)}, or {ANY_CPU}")
    lacking = sorted(set(target.needs) - features())
    if lacking:
        raise TargetError(
            f"{target.arch} needs what this processor lacks: {', '.join(lacking)}",
            place=f"target {asked!r}",
            remedy=f"leave the target out: then it is {best.arch}",
        )
    return target


def flags_for(target: CpuTarget, kind: str) -> tuple[str, ...]:
    """What a compiler of this kind (see `compiler.OLDEST`) is told; zig has names of its own."""
    if kind != "zig":
        return target.flags
    return (f"-mcpu={_ZIG_FEATURES.get(target.arch, 'baseline')}",)
