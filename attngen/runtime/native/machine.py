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
_AMOUNTS = {"fma": 4_000_000, "dot": 4_000_000, "read": 256 << 20}
"""Steps, steps, bytes."""


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
    rates = [rate_now(name, target) for name in _AMOUNTS]
    return Machine(processor(), detect(target).arch, find_compiler().version, *rates)


def rate_now(name: str, target: str | None = None) -> float:
    """One of the rates, measured anew: "fma", "dot" (GFLOP/s) or "read" (GB/s)."""
    function = getattr(_probe(target), f"attngen_probe_{name}")
    function.argtypes, function.restype = (ctypes.c_int64,), ctypes.c_double
    return float(function(_AMOUNTS[name]))


@cache
def _probe(target: str | None) -> ctypes.CDLL:
    text = _TEXT.read_text(encoding="utf-8")
    made = library(shared_cache(default_root()), text, find_compiler(), detect(target), "the machine probe")
    return load_library(made.path)


def processor() -> str:
    """What the processor calls itself; a family number tells apart what a cloud sells under one name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    facts = dict(reversed([(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in lines)]))
    numbers = [f"{name.split()[-1]} {facts[name]}" for name in ("cpu family", "model") if name in facts]
    return facts.get("model name", "unknown") + (f" ({', '.join(numbers)})" if numbers else "")
