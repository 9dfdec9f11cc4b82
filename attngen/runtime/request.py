"""What the launcher asks the pipeline for, and what it gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attngen.emit.cpu.interface import Interface
from attngen.planner.cpu import CpuPlan
from attngen.planner.plan import Plan
from attngen.tiling.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Request:
    """What decides a source, besides the spec."""

    dtype: str
    target: str
    decode: bool


@dataclass(frozen=True, slots=True)
class Emitted:
    """What the pipeline answers to a request. ``interface``: how native code is called; None for Triton.

    ``source``: the text, or what renders it, for an earlier process may have stored that of native code. It is looked
    for only where ``origin`` is given: the words in the text that neither spec, request nor plan decide.
    """

    source: str | Callable[[], str]
    plan: Plan | CpuPlan
    schedule: Schedule
    interface: Interface | None = None
    origin: str = ""

    @property
    def text(self) -> str:
        return self.source if isinstance(self.source, str) else self.source()
