"""A Triton kernel on the tensors of a call: compiled, run, compared, timed. For the process that may die of it."""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from attngen.runtime.interpreter import repair
from attngen.runtime.load import load
from attngen.runtime.tensors import torch_dtype
from attngen.tune.files import GUARD
from attngen.tune.yardstick import Array, KernelFailed, judged

_MOST_CALLS = 64
_LEAST_CALLS = 3
_LONG_S = 0.15


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """To a job of `attngen.tune.gpu`. What leaves the device unusable ends this process, with the reason on stderr."""
    import torch

    try:
        with torch.no_grad():
            return _answer(request)
    except Exception as error:
        try:
            torch.cuda.synchronize()
        except Exception:  # every later call would fail as well: the next configuration gets another process
            print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
            os._exit(1)
        raise


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    where = request["device"]

    def on(case: Mapping[str, Any]) -> Launch:
        return Launch(request["source"], case, where)

    if request["do"] == "compile":
        for case in ("small", "large"):
            on(request[case]).compile()
        return {}
    if request["do"] == "check":
        return judged(lambda case: on(case).fresh(), request["small"], request["large"], Path(request["baseline"]))
    return on(request["large"]).time(request["least_s"], _flushed(request["flush_bytes"], where))


class Launch:
    """One launch of one kernel: inputs and outputs on the device, NaN inside and around the outputs."""

    def __init__(self, source: str, case: Mapping[str, Any], where: str) -> None:
        repair()
        self._outputs = {name: _Output(one, where) for name, one in case["outputs"].items()}
        inputs = [_tensor(one, where) for one in case["inputs"]]
        out, lse = (self._outputs[name].tensor if name in self._outputs else None for name in ("out", "lse"))
        named = {name: _tensor(one, where) for name, one in case["named"].items()}
        tiles = {} if case["tiles"] is None else {"tiles": tuple(_tensor(one, where) for one in case["tiles"])}
        prepare = load(source).prepare
        self._kernel, self._grid, self._args, self._constants = prepare(
            *inputs, out, lse, **named, **case["params"], **tiles
        )

    def compile(self) -> None:
        self._kernel.warmup(*self._args, grid=self._grid, **self._constants)

    def run(self) -> Any:
        return self._kernel[self._grid](*self._args, **self._constants)

    def fresh(self) -> dict[str, Array]:
        """The outputs of a launch that starts from NaN everywhere. KernelFailed if it wrote past them."""
        import torch

        for output in self._outputs.values():
            output.poison()
        self.run()
        torch.cuda.synchronize()
        for name, output in self._outputs.items():
            if not output.intact:
                raise KernelFailed(f"wrong: it wrote past the rows of {name}")
        return {name: output.values() for name, output in self._outputs.items()}

    def time(self, least_s: float, flushed: Any) -> dict[str, Any]:
        """Seconds of one launch between two events of the device, the L2 cache overwritten before each: the median.

        ``wall``: of a launch and the write before it, by the clock of the host.
        """
        clock = _clock_mhz()
        (first,), _, compiled = self._spans(1, flushed)
        calls = 1 if first >= _LONG_S else min(_MOST_CALLS, max(_LEAST_CALLS, round(least_s / first)))
        spans, wall, _ = self._spans(calls, flushed)
        facts: dict[str, float | int | str] = {
            "cache": "cold",
            "calls": calls,
            "flush_bytes": flushed.numel(),
            "clock_mhz_before": clock,
            "clock_mhz_after": _clock_mhz(),
            "registers": compiled.n_regs,
            "spills": compiled.n_spills,
            "shared_bytes": compiled.metadata.shared,
        }
        return {"seconds": statistics.median(spans), "wall": wall, "load": os.getloadavg()[0], "facts": facts}

    def _spans(self, calls: int, flushed: Any) -> tuple[list[float], float, Any]:
        """Seconds of each launch, seconds of one on the wall, and what was launched.

        The write comes before the first event, never between the two; while it lasts the launch is queued behind it.
        """
        import torch

        begun, pairs, compiled = time.perf_counter(), [], None
        for _ in range(calls):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            flushed.zero_()
            begin.record()
            compiled = self.run()
            end.record()
            pairs.append((begin, end))
        torch.cuda.synchronize()
        wall = (time.perf_counter() - begun) / calls
        spans = [begin.elapsed_time(end) * 1e-3 for begin, end in pairs]
        if not all(0.0 < span < math.inf for span in spans):
            raise KernelFailed(f"events of the device give no time: {spans[0]} s")
        return spans, wall, compiled


class _Output:
    """``tensor`` [B, H, M(, D)] with bytes of 0xFF around it."""

    def __init__(self, described: Mapping[str, Any], where: str) -> None:
        import torch

        dtype, shape = torch_dtype(described["dtype"]), described["shape"]
        self._bytes = math.prod(shape) * dtype.itemsize
        self._whole = torch.empty(self._bytes + 2 * GUARD, dtype=torch.uint8, device=where)
        self.tensor = self._whole[GUARD : GUARD + self._bytes].view(dtype).view(shape)
        self.poison()

    def poison(self) -> None:
        self._whole.fill_(0xFF)

    @property
    def intact(self) -> bool:
        before, after = self._whole[:GUARD], self._whole[GUARD + self._bytes :]
        return bool((before == 0xFF).all() and (after == 0xFF).all())

    def values(self) -> Array:
        """As floats of 32 bits."""
        found: Array = self.tensor.float().cpu().numpy().copy()
        return found


@lru_cache(maxsize=24)
def _file(path: str, where: str) -> Any:
    """The bytes of a tensor and of what lies around it, on the device; a file is written once."""
    import torch

    return torch.from_numpy(np.fromfile(path, np.uint8)).to(where)


def _tensor(described: Mapping[str, Any], where: str) -> Any:
    """A view into the file on the device: what the strides span, with NaN before and after."""
    whole, shape, stride = _file(described["file"], where), described["shape"], described["stride"]
    dtype = torch_dtype(described["dtype"])
    span = 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) if math.prod(shape) else 0
    return whole[GUARD : GUARD + span * dtype.itemsize].view(dtype).as_strided(shape, stride, GUARD // dtype.itemsize)


@lru_cache(maxsize=1)
def _flushed(size: int, where: str) -> Any:
    import torch

    return torch.empty(size, dtype=torch.uint8, device=where)


def _clock_mhz() -> float | str:
    """What torch says of the clock now; it needs a package of the vendor, and not every device tells."""
    import torch

    try:
        return float(torch.cuda.clock_rate())
    except Exception:  # no package, no permission, or no such reading
        return "unknown"
