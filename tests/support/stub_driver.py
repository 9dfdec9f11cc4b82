"""A Triton driver without a GPU: kernels are compiled for sm_90 for real, and a launch only counts.

Use it in a process of its own (or restore it): the driver is global in Triton.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StubLauncher:
    """Stands for the C launcher. ``calls`` holds (grid, arguments) of every launch while ``record`` is set."""

    count = 0
    record = False
    calls: list[tuple[tuple[int, int, int], tuple[Any, ...]]] = []  # noqa: RUF012

    def __init__(self, src: Any, metadata: Any) -> None:
        del src, metadata

    def __call__(self, x: int, y: int, z: int, stream: int, function: Any, packed: Any, *rest: Any) -> None:
        StubLauncher.count += 1
        if StubLauncher.record:
            StubLauncher.calls.append(((x, y, z), rest[3:]))


class _Utils:
    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": 232448, "multiprocessor_count": 132, "max_num_regs": 65536, "warpSize": 32}

    def load_binary(self, *args: Any) -> tuple[int, int, int, int, int]:
        return 1, 2, 128, 0, 1024

    def unload_module(self, module: Any) -> None: ...


class StubDriver:
    utils = _Utils()
    launcher_cls = StubLauncher

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def set_current_device(self, device: int) -> None: ...

    def get_active_torch_device(self) -> Any:
        import torch

        return torch.device("cpu")


@contextmanager
def stub_driver() -> Iterator[type[StubLauncher]]:
    """Launches go nowhere, and CPU tensors count as tensors of an H100."""
    from triton.runtime import driver

    from attngen.runtime import launch

    before, way = driver._active, launch.way_to_run
    driver.set_active(StubDriver())
    launch.way_to_run = lambda *args: "launch"
    StubLauncher.count, StubLauncher.calls = 0, []
    try:
        yield StubLauncher
    finally:
        launch.way_to_run = way
        driver._active = before
