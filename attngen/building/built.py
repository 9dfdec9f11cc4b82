"""What a build gives: the plan that passed, its kernels, and the plans that did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from attngen.building.job import Compiled
from attngen.machine_code.gates import Failure
from attngen.machine_code.loops import Loop
from attngen.planner.plan import Plan
from attngen.targets.target import Target


@dataclass(frozen=True)
class Artifact:
    """One compiled kernel. ``spills`` counts instructions, ``spill_bytes`` is the stack of a thread.

    ``num_warps`` counts all warps of a block, ``occupancy`` the blocks that fit a multiprocessor.
    """

    name: str
    binary: bytes
    registers: int
    spills: int
    spill_bytes: int
    shared_bytes: int
    num_warps: int
    occupancy: int
    instructions: int
    loops: tuple[Loop, ...]
    compiled: Compiled

    @cached_property
    def asm(self) -> str:
        """The machine code as text: AMD's assembly, or what nvdisasm says of the binary."""
        from attngen.machine_code.tools import list_sass

        return self.compiled.assembly or list_sass(self.binary)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A plan that was compiled, and the gates that it did not pass."""

    plan: Plan
    failures: tuple[Failure, ...]

    def __str__(self) -> str:
        plan = self.plan
        loads = "descriptors" if plan.descriptors else "pointers"
        size = f"{plan.block_m}x{plan.block_n}, {plan.num_warps} warps, {plan.num_stages} stages, {loads}"
        return f"{size}: {'; '.join(map(str, self.failures)) or 'passes'}"


@dataclass(frozen=True, slots=True)
class Built:
    """A variant compiled for a target. ``tried``: plans that were ranked higher and failed a gate.

    ``failures`` is empty unless the caller fixed the plan: then it is obeyed, and this says what is wrong with it.
    """

    plan: Plan
    target: Target
    source: str
    artifacts: Mapping[str, Artifact]
    failures: tuple[Failure, ...] = ()
    tried: tuple[Attempt, ...] = ()

    @property
    def forward(self) -> Artifact:
        return next(artifact for name, artifact in self.artifacts.items() if "forward" in name)
