"""What a core of this machine can do at most, measured: the yardstick of native kernels."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from attngen.runtime.cache import default_root, shared_cache
from attngen.runtime.native.compiler import find_compiler
from attngen.runtime.native.isa import detect
from attngen.runtime.native.library import load_library
from attngen.runtime.native.store import library
from attngen.targets.cpu import CoreRates

_TEXT = Path(__file__).with_name("probe.cpp")
_STEPS = 4_000_000
_READ_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Machine:
    """Of one core, in its own CPU time. ``dot_gflops`` is 0 where bf16 pairs have no products."""

    processor: str
    arch: str
    compiler: str
    fma_gflops: float
    dot_gflops: float
    read_gbps: float

    @property
    def rates(self) -> CoreRates:
        return CoreRates(self.fma_gflops, self.dot_gflops, self.read_gbps, f"measured on {self.processor}")

    def peak(self, dtype: str, dot: bool) -> float:
        """GFLOP/s that products of this dtype cannot exceed; fp64 has half the lanes."""
        if dtype == "fp64":
            return self.fma_gflops / 2
        return self.dot_gflops if dot and self.dot_gflops else self.fma_gflops


@cache
def measure(target: str | None = None) -> Machine:
    """Measured once a process, in about two seconds. ``target``: a level of vectors, by default the best."""
    cpu, compiler = detect(target), find_compiler()
    text = _TEXT.read_text(encoding="utf-8")
    probe = load_library(library(shared_cache(default_root()), text, compiler, cpu, "the machine probe").path)
    rates = []
    for name, amount in (("fma", _STEPS), ("dot", _STEPS), ("read", _READ_BYTES)):
        function = getattr(probe, f"attngen_probe_{name}")
        function.argtypes, function.restype = (ctypes.c_int64,), ctypes.c_double
        rates.append(float(function(amount)))
    return Machine(processor(), cpu.arch, compiler.version, *rates)


def processor() -> str:
    """What the processor calls itself; a family number tells apart what a cloud sells under one name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    facts = dict(reversed([(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]))
    numbers = [f"{name.split()[-1]} {facts[name]}" for name in ("cpu family", "model") if name in facts]
    return facts.get("model name", "unknown") + (f" ({', '.join(numbers)})" if numbers else "")
