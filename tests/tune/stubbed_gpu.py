"""A worker on a GPU that is not there: everything of `attngen.tune.worker` runs, launches and clocks are made up.

Kernels are compiled for sm_90 for real; a launch computes causal attention with torch, on the CPU. ``$STUBBED_GPU``
says how launches go, as JSON: a name of `WAYS`, and the chosen fields of the plan.
"""

from __future__ import annotations

import json
import os
from typing import Any

import torch

from tests.support.stub_driver import StubDriver

WAYS = ("broken", "wrong", "far", "past", "quick")
"""What a launch of a plan does: ``far`` is wrong beyond row 200."""
USUAL_S, QUICK_S, WRITE_S = 1e-3, 0.5e-3, 20e-3


class Clock:
    """Of the device. A launch whose inputs are still in the cache would be much quicker."""

    now = 0.0
    cold = False
    broken = False


class Launcher:
    def __init__(self, src: Any, metadata: Any) -> None:
        self._names = src.fn.arg_names
        self._sizes = {"num_warps": metadata.num_warps, "num_stages": metadata.num_stages}

    def __call__(self, x: int, y: int, z: int, stream: int, function: Any, packed: Any, *rest: Any) -> None:
        given = dict(zip(self._names, rest[3:], strict=True))
        plan = {**self._sizes, "block_m": given["BLOCK_M"], "block_n": given["BLOCK_N"]}
        ways = json.loads(os.environ["STUBBED_GPU"])
        way = next((name for name in WAYS if ways.get(name) == plan), "")
        if way == "broken":
            Clock.broken = True
            raise RuntimeError("an illegal memory access was encountered")
        scores = (given["Q"].float() @ given["K"].float().mT) / given["Q"].shape[-1] ** 0.5
        scores = scores.masked_fill(torch.ones_like(scores).tril() == 0, -torch.inf)
        given["Lse"].copy_(scores.logsumexp(-1))
        given["Out"].copy_(scores.softmax(-1) @ given["V"].float())
        if way == "wrong":
            given["Out"][..., -1] = 0
        if way == "far":
            given["Out"][..., 200:, -1] = 0
        if way == "past":
            out = given["Out"]
            out.as_strided((1,), (1,), out.storage_offset() + out.numel()).fill_(0.0)
        Clock.now += (QUICK_S if way == "quick" else USUAL_S) * (1.0 if Clock.cold else 0.1)
        Clock.cold = False


class Driver(StubDriver):
    launcher_cls = Launcher  # type: ignore[assignment]


class Event:
    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        self.at = -1.0

    def record(self) -> None:
        self.at = Clock.now

    def elapsed_time(self, end: Event) -> float:
        return (end.at - self.at) * 1e3


def synchronize() -> None:
    if Clock.broken:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def main() -> None:
    from triton.runtime import driver

    from attngen.runtime.processes import serve
    from attngen.tune.worker import answer

    zero = torch.Tensor.zero_

    def write(tensor: torch.Tensor) -> torch.Tensor:
        Clock.now, Clock.cold = Clock.now + WRITE_S, True
        return zero(tensor)

    driver.set_active(Driver())
    torch.cuda.Event, torch.cuda.synchronize, torch.Tensor.zero_ = Event, synchronize, write  # type: ignore
    serve(answer, end_with_parent=True)


if __name__ == "__main__":
    main()
