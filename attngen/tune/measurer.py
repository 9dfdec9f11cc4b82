"""What a sweep needs to know of whatever it measures, and of whoever runs its jobs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from attngen.records.row import Configuration, Subject
from attngen.tune.space import Choice, Space

Submit = Callable[[dict[str, Any]], "Future[dict[str, Any]]"]
"""Gives a job to an executor: plain data, see `attngen.tune.job`."""


class Measurer(Protocol):
    """What is measured: real kernels, or a recorded sweep."""

    @property
    def subject(self) -> Subject: ...

    @property
    def space(self) -> Space: ...

    def configuration(self, choice: Choice) -> Configuration:
        """What identifies the choice in the store. PlanError where there is no kernel of it."""
        ...

    def compile_job(self, choice: Choice) -> dict[str, Any]:
        """What compiling needs; asked for first, as the rest may take a while to make."""
        ...

    def job(self, choice: Choice) -> dict[str, Any]:
        """What checking and timing need."""
        ...
