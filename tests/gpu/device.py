"""The one place that knows whether there is a GPU: everything that touches it, and its stand-in for a dry run.

A dry run does all that a run does, up to the launch: it makes the tensors (on the CPU), emits, loads and prepares
the real kernels, binds their arguments, and launches nothing. What it would time is NaN, and what a kernel would
write stays NaN, so neither a figure nor a verdict can come out of it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import torch

from tests.gpu.stub import StubEvent, StubKernel, stub_attention, stub_varlen

FLASH = {
    "FlashAttention 4": "flash_attn.cute",
    "FlashAttention 3": "flash_attn_interface",
    "FlashAttention 2": "flash_attn",
}
PACKAGES = ("attngen", "torch", "triton", "flash-attn", "flash-attn-4", "flash-attn-3")
CLOCKS = ("clocks.sm", "clocks.mem", "clocks.max.sm", "power.limit", "temperature.gpu", "driver_version")
LEAST_FLUSH = 256 * 2**20


def missing() -> str:
    """Why no kernel can be launched in this process; "" if one can."""
    from attngen.errors import AttngenError
    from attngen.runtime.interpreter import interpreting
    from attngen.targets.probe import probe_target

    try:
        probe_target()
    except AttngenError as error:
        return error.what
    return "kernels are interpreted in this process: `make test-gpu` launches them" if interpreting() else ""


class Gpu:
    """The first GPU that torch sees, CUDA or HIP."""

    dry = False
    where = "cuda"
    target: str | None = None
    """None: attngen asks the driver."""

    def __init__(self) -> None:
        facts = torch.cuda.get_device_properties(0)
        self.name = f"{facts.name}, {facts.multi_processor_count} multiprocessors"
        self.memory = int(facts.total_memory)
        cache = 2 * int(getattr(facts, "L2_cache_size", 0))
        self._flushed = torch.empty(max(cache, LEAST_FLUSH), dtype=torch.int8, device=self.where)

    def verdict(self, wrong: list[str]) -> None:
        """AssertionError with all that is wrong."""
        assert not wrong, "\n  ".join(wrong)

    # what a benchmark needs

    def event(self) -> Any:
        return torch.cuda.Event(enable_timing=True)

    def flush(self) -> None:
        """Leave nothing of the inputs in the L2 cache; it also keeps the GPU busy while the next launch is queued."""
        self._flushed.zero_()

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def random(self, shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
        generator = torch.Generator(self.where).manual_seed(seed)
        return torch.randn(shape, generator=generator, dtype=torch.float32, device=self.where).to(dtype)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # each workload is a compilation of its own: after a few of one function dynamo would fall back to eager
        torch.compiler.reset()
        return torch.compile(function, dynamic=False, fullgraph=True)

    def sdpa(self) -> Callable[..., Any]:
        return torch.nn.functional.scaled_dot_product_attention

    def flash(self) -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
        """(dense, varlen) functions of each FlashAttention that is installed."""
        found = {}
        for name, module in FLASH.items():
            with contextlib.suppress(ImportError):
                loaded = importlib.import_module(module)
                found[name] = (loaded.flash_attn_func, loaded.flash_attn_varlen_func)
        return found

    def clocks(self) -> dict[str, str]:
        """What the driver's tool says now; HIP has no counterpart with these names."""
        query = ["nvidia-smi", "--id=0", f"--query-gpu={','.join(CLOCKS)}", "--format=csv,noheader"]
        try:
            done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            return {"clocks": f"unknown: {type(error).__name__}"}
        return clocks_of(done.stdout)


def clocks_of(answer: str) -> dict[str, str]:
    """A line of nvidia-smi by name."""
    return dict(zip(CLOCKS, (word.strip() for word in answer.strip().split(",")), strict=True))


def versions() -> dict[str, str]:
    """Of the packages that are installed, and of CUDA or HIP."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    found |= {"CUDA": str(torch.version.cuda)} if torch.version.cuda else {}
    return found | ({"HIP": str(torch.version.hip)} if torch.version.hip else {})


class Dry(Gpu):
    """Stands for ``target``: kernels are emitted for it, and bound to tensors on the CPU."""

    dry = True
    where = "cpu"

    def __init__(self, target: str) -> None:
        self.target = target
        self.name, self.memory = f"no GPU (a dry run for {target})", 1 << 62
        self.launches: list[tuple[int, ...]] = []
        """The grid of every launch that was reached."""

    def verdict(self, wrong: list[str]) -> None:
        """Nothing was launched, so the comparison must have noticed that nothing was written."""
        assert any("NaN" in line for line in wrong), f"an output that nobody wrote passed as right: {wrong}"

    def event(self) -> Any:
        return StubEvent()

    def flush(self) -> None: ...

    def synchronize(self) -> None: ...

    def random(self, shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
        del seed
        return torch.empty(shape, dtype=dtype)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        del function
        return stub_attention

    def sdpa(self) -> Callable[..., Any]:
        return stub_attention

    def flash(self) -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
        return {"FlashAttention": (stub_attention, stub_varlen)}

    def clocks(self) -> dict[str, str]:
        return dict.fromkeys(CLOCKS, "not measured")


@contextlib.contextmanager
def dry_device(target: str) -> Iterator[Dry]:
    """Within the block launches end at a stub: `Dry.launches` has them."""
    from attngen.runtime import triton_way
    from attngen.targets.load import find_target
    from tests.support.stub_driver import stub_driver

    device, load = Dry(find_target(target).name), triton_way.load

    def stubbed(*args: Any) -> Any:
        module = load(*args)
        if not isinstance(module.attention_forward, StubKernel):
            module.attention_forward = StubKernel(module.attention_forward, device.launches)
        return module

    triton_way.load = stubbed
    try:
        with stub_driver():
            yield device
    finally:
        triton_way.load = load
