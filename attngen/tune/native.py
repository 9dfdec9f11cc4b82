"""Configurations of a native kernel at one shape: emitted here, described as jobs that another process can run."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attngen.emit.cpu.interface import Interface, Meaning
from attngen.planner.cpu import CpuPlan
from attngen.planner.decode import DECODE_ROWS
from attngen.runtime.native.compiler import find_compiler
from attngen.runtime.native.machine import processor
from attngen.runtime.native.probed import stored_rates
from attngen.targets.cpu import CpuTarget
from attngen.tune.kernels import Kernels
from attngen.tune.kernels import Shape as Shape
from attngen.tune.space import Choice, Space, cpu_space

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec


class NativeKernels(Kernels):
    """The configurations of one variant on this machine's CPU, at one shape. ``folder`` holds the tensors."""

    backend = "cpu"

    def __init__(
        self,
        spec: AttentionSpec,
        target: CpuTarget,
        dtype: str,
        shape: Shape,
        folder: Path,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.target = target
        few, rates = shape.queries <= DECODE_ROWS, stored_rates(target)
        super().__init__(
            spec, target.arch, target.arch, processor(), dtype, shape, folder, few=few, values=values, rates=rates
        )

    @cached_property
    def space(self) -> Space:
        untuned = self.generate(None).plan
        assert isinstance(untuned, CpuPlan)
        return cpu_space(self.problem, self.target, untuned, stored_rates(self.target))

    def compiler(self) -> tuple[str, str]:
        return find_compiler().version, ""

    def compile_job(self, choice: Choice) -> dict[str, Any]:
        return {
            "kind": "native",
            "name": self.spec.name,
            "source": self.emitted(choice).text,
            "target": self.target.arch,
        }

    def job(self, choice: Choice) -> dict[str, Any]:
        """Everything that checking and timing need, as plain data; tensors are files of ``folder``."""
        emitted = self.kept(choice)
        assert emitted.interface is not None
        small, large = self.small, self.large
        return {
            **self.compile_job(choice),
            "entry": _entry(emitted.interface),
            "small": {**small.call(emitted), "expected": self.yardstick.expected},
            "large": {**large.call(emitted), "allowed": self.yardstick.allowed},
            "baseline": str(self.folder / "untuned.npz"),
            "memory": 4 * sum(x.nbytes for x in large.data if x is not None),
        }


def _entry(interface: Interface) -> dict[str, Any]:
    shared = next((i for i, field in enumerate(interface.fields) if field.meaning is Meaning.SHARED), 0)
    return {"bytes": struct.calcsize(interface.format), "shared": shared, "split": interface.split}
