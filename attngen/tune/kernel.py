"""A compiled kernel on the files of a call: run, compared, timed. For the process that may die of it; without torch."""

from __future__ import annotations

import os
import resource
import statistics
import struct
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attngen.runtime.cache import default_root, shared_cache
from attngen.runtime.native.compiler import find_compiler
from attngen.runtime.native.isa import detect
from attngen.runtime.native.library import Run, load_library, pool, runner_of
from attngen.tune.files import GUARD
from attngen.tune.yardstick import KernelFailed, judged

Array = NDArray[Any]

_ALIGNMENT = 64
_SPARE_BYTES = 2 << 30
_MOST_CALLS = 64
_LONG_S = 0.15
_PER_READING_S = 2e-4
"""Calls shorter than this are timed several at a time: reading the clock would be part of what is measured."""


class Loaded:
    """One call of one kernel: inputs mapped, outputs with NaN inside and around."""

    def __init__(self, run: Run, case: Mapping[str, Any]) -> None:
        self._run = run
        self.dtype = str(case["dtype"])
        self._outputs = {name: _Output(shape, self._kind(name)) for name, shape in case["outputs"].items()}
        self._call = struct.pack(case["format"], *(self._number(value) for value in case["values"]))

    def _kind(self, name: str) -> str:
        return self.dtype if name == "out" else "fp64" if self.dtype == "fp64" else "fp32"

    def _number(self, value: Any) -> int | float:
        if not isinstance(value, dict):
            return value  # type: ignore[no-any-return]
        if "output" in value:
            return self._outputs[value["output"]].address
        return _mapped(value["file"]).ctypes.data + GUARD  # type: ignore[no-any-return]

    def run(self) -> None:
        if self._run(self._call, 1):
            raise KernelFailed("no memory for scratch space")

    def fresh(self) -> dict[str, Array]:
        """The outputs of a run that starts from NaN everywhere. KernelFailed if it wrote past them."""
        for output in self._outputs.values():
            output.poison()
        self.run()
        for name, output in self._outputs.items():
            if not output.intact:
                raise KernelFailed(f"wrong: it wrote past the rows of {name}")
        return {name: output.values() for name, output in self._outputs.items()}

    def time(self, least_s: float) -> dict[str, Any]:
        """Seconds of one call, by the CPU time of this thread and by the clock on the wall: medians of the turn."""
        cpu, wall = self._calls(1, 1)  # what was measured before has left its own data in the caches
        together, calls = 1, 1
        if cpu[0] < _LONG_S:  # else it has brought its own data long before it ended
            together = max(1, round(_PER_READING_S / max(cpu[0], 1e-9)))
            calls = min(_MOST_CALLS, max(2, round(least_s / max(cpu[0] * together, 1e-9))))
            cpu, wall = self._calls(calls, together)
        return {
            "seconds": statistics.median(cpu),
            "wall": statistics.median(wall),
            "load": os.getloadavg()[0],
            "facts": {"cache": "warm", "calls": calls * together},
        }

    def _calls(self, calls: int, together: int) -> tuple[list[float], list[float]]:
        cpu, wall = [], []
        for _ in range(calls):
            begin, start = time.perf_counter(), time.thread_time()
            for _ in range(together):
                self.run()
            cpu.append((time.thread_time() - start) / together)
            wall.append((time.perf_counter() - begin) / together)
        return cpu, wall


class Kernel:
    """A compiled file. ``entry``: the size of a `Call`, the number of its member ``shared``, whether keys are split."""

    def __init__(self, library: str, entry: Mapping[str, Any], target: str) -> None:
        cpu = detect(target)
        threads = pool(shared_cache(default_root()), find_compiler(), cpu)
        self._run = runner_of(
            load_library(Path(library)), threads, entry["bytes"], entry["shared"], split=entry["split"]
        )

    def on(self, case: Mapping[str, Any]) -> Loaded:
        return Loaded(self._run, case)

    def check(self, small: Mapping[str, Any], large: Mapping[str, Any], baseline: Path) -> dict[str, Any]:
        return judged(lambda case: self.on(case).fresh(), small, large, baseline)


class _Output:
    def __init__(self, shape: list[int], kind: str) -> None:
        self._shape, self._kind = shape, kind
        self._bytes = int(np.prod(shape)) * {"fp64": 8, "fp32": 4}.get(kind, 2)
        self._whole = np.empty(self._bytes + 2 * GUARD + _ALIGNMENT, np.uint8)
        self._first = GUARD + -(self._whole.ctypes.data + GUARD) % _ALIGNMENT
        self.address = self._whole.ctypes.data + self._first
        self.poison()

    def poison(self) -> None:
        self._whole.fill(0xFF)

    @property
    def intact(self) -> bool:
        last = self._first + self._bytes
        return bool((self._whole[: self._first] == 0xFF).all() and (self._whole[last:] == 0xFF).all())

    def values(self) -> Array:
        """As floats of at least 32 bits."""
        raw = self._whole[self._first : self._first + self._bytes]
        if self._kind == "bf16":
            found: Array = (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        elif self._kind == "fp16":
            found = raw.view(np.float16).astype(np.float32)
        else:
            found = raw.view(np.float64 if self._kind == "fp64" else np.float32).copy()
        return found.reshape(self._shape)


@lru_cache(maxsize=256)
def _mapped(path: str) -> Any:
    return np.memmap(path, np.uint8, "r")


def limit_memory(more_bytes: int) -> None:
    """This process may take so much more than it has now, and some spare: a kernel cannot starve the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    wanted = pages * resource.getpagesize() + more_bytes + _SPARE_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))
