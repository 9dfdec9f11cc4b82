"""A recorded sweep: its rows as JSON lines, and a measurer that answers from them. No hardware is needed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from attngen.errors import PlanError, StoreError
from attngen.records.lines import read
from attngen.records.row import Configuration, Measurement, Subject
from attngen.tune.space import Choice, Fragment, Space, choice_of


@dataclass(frozen=True)
class Recorded:
    """Rows of one subject, by plan. The first plan of the file is the untuned one: a sweep begins with it."""

    subject: Subject
    rows: Mapping[Choice, tuple[Measurement, ...]]

    @classmethod
    def load(cls, path: Path) -> Recorded:
        """The measurements of a file; StoreError where it holds none, or those of several subjects."""
        with open(path, encoding="utf-8") as file:
            found = [row for row in read(file, path.name) if isinstance(row, Measurement)]
        subjects = {row.subject for row in found}
        if len(subjects) != 1:
            raise StoreError(
                f"rows of {len(subjects)} subjects",
                place=str(path),
                remedy="a recorded sweep has one shape of one spec",
            )
        rows: dict[Choice, tuple[Measurement, ...]] = {}
        for row in found:
            choice = choice_of(row.configuration.plan)
            rows[choice] = (*rows.get(choice, ()), row)
        return cls(subjects.pop(), rows)

    def row(self, choice: Choice, stage: str, number: int) -> Measurement:
        """That turn as it was recorded; of a turn that was not, the one that a cycle through the others comes to."""
        known = self.rows[choice]
        for row in known:
            if (row.stage, row.round) == (stage, number) or row.status == "failed":
                return row
        return known[number % len(known)]

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What a worker answers to the jobs of `Replay`."""
        choice = choice_of(request["plan"])
        if request["do"] == "check":
            failed = next((row.reason for row in self.rows[choice] if row.status == "failed"), "")
            return {"failed": failed} if failed else {"error": self.rows[choice][0].error}
        row = self.row(choice, request["stage"], request["round"])
        time.sleep(float(request.get("pause_s", 0.0)))
        return {"seconds": row.seconds, "wall": row.wall, "load": row.load, "facts": dict(row.facts)}


class Replay:
    """A `Measurer` over a recorded sweep: its space is what was recorded. ``pause_s``: what a turn pretends to take."""

    def __init__(self, path: Path, pause_s: float = 0.0) -> None:
        self._path, self._pause_s = path, pause_s
        self._recorded = Recorded.load(path)
        self.subject = self._recorded.subject

    @cached_property
    def space(self) -> Space:
        """Choices in the order in which they were recorded, which was the order of the search."""
        rows = self._recorded.rows
        known = tuple(rows)
        fragments = tuple(Fragment(name, tuple(sorted({dict(c)[name] for c in known}))) for name, _ in known[0])
        return Space(fragments, known[0], lambda choice: [] if choice in rows else ["it was not recorded"], known)

    def configuration(self, choice: Choice) -> Configuration:
        if choice not in self._recorded.rows:
            raise PlanError("it was not recorded")
        return self._recorded.rows[choice][0].configuration

    def compile_job(self, choice: Choice) -> dict[str, Any]:
        return {"kind": "replay", "file": str(self._path), "plan": dict(choice), "pause_s": self._pause_s}

    def job(self, choice: Choice) -> dict[str, Any]:
        return {**self.compile_job(choice), "device": "replay"}
