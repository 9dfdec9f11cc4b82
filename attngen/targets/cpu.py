"""CPUs as the planner sees them: one row a level of vector instructions, best first. Caches are the usual ones."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

KIB = 1024
NOMINAL_GHZ, NOMINAL_READ_GBPS = 3.0, 20.0
"""Of a machine that nothing was measured on."""


@dataclass(frozen=True, slots=True)
class CpuTarget:
    """``flags`` compile for it; ``needs``: what /proc/cpuinfo lists where it runs. ``vector_bytes`` and
    ``registers`` are those of a vector; ``dot_bf16``: products of bf16 pairs summed in fp32 (vdpbf16ps).
    ``fma_per_clk``: vector multiply-adds that a core starts in a clock."""

    name: str
    arch: str
    aliases: tuple[str, ...]
    flags: tuple[str, ...]
    needs: tuple[str, ...]
    vector_bytes: int
    registers: int
    fma_per_clk: float
    dot_bf16: bool = False
    l1_bytes: int = 32 * KIB
    l2_bytes: int = 1024 * KIB


@dataclass(frozen=True, slots=True)
class CoreRates:
    """What one core does at most: fp32 multiply-adds and products of bf16 pairs in GFLOP/s, reading in GB/s.

    ``dot_gflops`` is 0 where there are none. ``source``: where the figures come from, for people.
    """

    fma_gflops: float
    dot_gflops: float
    read_gbps: float
    source: str


def nominal_rates(target: CpuTarget) -> CoreRates:
    """At a nominal clock, for a machine that was not measured. A product of bf16 pairs does twice the work."""
    fma = NOMINAL_GHZ * target.fma_per_clk * target.vector_bytes / 4 * 2
    return CoreRates(fma, 2 * fma if target.dot_bf16 else 0.0, NOMINAL_READ_GBPS, f"at a nominal {NOMINAL_GHZ:g} GHz")


COMPILE_FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
"""None of them changes what floats mean: no errno, no signals. The flags of a target follow."""

_V3 = ("avx2", "fma", "f16c", "bmi2")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

CPUS = (
    CpuTarget(
        "x86-64-v4 with AVX512-BF16",
        "avx512_bf16",
        ("zen4", "zen5", "sapphirerapids"),
        ("-march=x86-64-v4", "-mavx512bf16", "-mprefer-vector-width=512"),
        (*_V4, "avx512_bf16"),
        vector_bytes=64,
        registers=32,
        fma_per_clk=2.0,
        dot_bf16=True,
    ),
    CpuTarget(
        "x86-64-v4",
        "avx512",
        ("skylake-avx512",),
        ("-march=x86-64-v4", "-mprefer-vector-width=512"),
        _V4,
        vector_bytes=64,
        registers=32,
        fma_per_clk=2.0,
    ),
    CpuTarget(
        "x86-64-v3",
        "avx2",
        ("cpu", "haswell", "zen2", "zen3"),
        ("-march=x86-64-v3",),
        _V3,
        vector_bytes=32,
        registers=16,
        fma_per_clk=2.0,
    ),
    CpuTarget(
        "x86-64-v2",
        "sse",
        ("nehalem",),
        ("-march=x86-64-v2",),
        ("sse4_2", "ssse3"),
        vector_bytes=16,
        registers=16,
        fma_per_clk=1.0,
    ),
    CpuTarget(
        "AArch64",
        "neon",
        ("aarch64", "arm64"),
        ("-march=armv8-a",),
        ("asimd",),
        vector_bytes=16,
        registers=32,
        fma_per_clk=2.0,
    ),
)


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def find_cpu(name: str) -> CpuTarget | None:
    """The CPU called ``name``: "cpu" is any x86-64 with AVX2; None where it is the name of no CPU."""
    for target in CPUS if isinstance(name, str) else ():
        if _plain(name) in map(_plain, (target.name, target.arch, *target.aliases)):
            return target
    return None


def best_cpu(features: Collection[str]) -> CpuTarget | None:
    """The best row that a machine with these features (words of /proc/cpuinfo) can run; None: only scalar code."""
    return next((target for target in CPUS if set(target.needs) <= set(features)), None)
