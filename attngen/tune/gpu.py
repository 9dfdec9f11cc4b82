"""Configurations of a Triton kernel on the GPU of this machine, at one shape, described as jobs of another process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attngen.errors import RuntimeMissingError, UnsupportedError
from attngen.planner.decode import DECODE_ROWS
from attngen.targets.probe import device_arch, match_device
from attngen.targets.target import Target
from attngen.tune.kernels import Kernels, Shape, version_of
from attngen.tune.space import Choice, Space, gpu_space

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec

WHERE = "cuda:0"
"""The device as torch names it, CUDA or HIP."""
LEAST_FLUSH = 64 << 20
"""Bytes. The table has one of AMD's L2 caches, of up to eight; and a write has to outlast a launch from Python."""


def gpu_of_this_machine(wanted: Target) -> tuple[str, Target]:
    """The name of the GPU here and its row of the table; UnsupportedError where there is none of ``wanted``'s kind."""
    without = "static=True (--static) ranks compiled plans without a GPU; or tune for the CPU"
    try:
        name, arch = device_arch()
    except RuntimeMissingError as error:
        raise UnsupportedError(
            f"kernels for {wanted.name} are timed on such a GPU: {error.what}", place="tune", remedy=without
        ) from error
    if arch != wanted.arch:
        raise UnsupportedError(
            f"kernels for {wanted.name} ({wanted.arch}) are not timed on {name} ({arch})", place="tune", remedy=without
        )
    return name, match_device(name, arch)


def flush_bytes(target: Target) -> int:
    """What is written between launches: twice the L2 cache, so that nothing of the inputs is left in it."""
    return max(2 * target.l2_bytes, LEAST_FLUSH)


class GpuKernels(Kernels):
    """The configurations of one variant on the GPU ``device``, a ``target``. ``folder`` holds the tensors.

    They are planned for its architecture, as `attngen.compile` does; the model orders them for ``target`` itself.
    """

    backend = "triton"

    def __init__(
        self,
        spec: AttentionSpec,
        target: Target,
        device: str,
        dtype: str,
        shape: Shape,
        folder: Path,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.target = target
        few = shape.queries <= DECODE_ROWS and spec.definition.heads.group > 1
        super().__init__(spec, target.arch, target.arch, device, dtype, shape, folder, few=few, values=values)

    @cached_property
    def space(self) -> Space:
        return gpu_space(self.problem, self.target, self.generate(None).gpu_plan)[0]

    def compiler(self) -> tuple[str, str]:
        import torch

        runtime = f"HIP {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
        return f"triton {version_of('triton')}", f", triton {version_of('triton')}, {runtime}"

    def compile_job(self, choice: Choice) -> dict[str, Any]:
        """With the large call: Triton compiles for the arguments of a launch."""
        emitted = self.kept(choice)
        return {
            "kind": "gpu",
            "device": WHERE,
            "source": emitted.text,
            "small": self.small.launch(emitted),
            "large": self.large.launch(emitted),
        }

    def job(self, choice: Choice) -> dict[str, Any]:
        """Everything that checking and timing need, as plain data; tensors are files of ``folder``."""
        made = self.compile_job(choice)
        return {
            **made,
            "small": {**made["small"], "expected": self.yardstick.expected},
            "large": {**made["large"], "allowed": self.yardstick.allowed},
            "baseline": str(self.folder / "untuned.npz"),
            "flush_bytes": flush_bytes(self.target),
        }
