"""Turns of configurations: read from the store where they are, else made by jobs and kept at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from typing import Any

from attngen.errors import AttngenError, PlanError
from attngen.records.row import Configuration, Measurement
from attngen.records.store import Store
from attngen.tune.measurer import Measurer, Submit
from attngen.tune.result import TuneError
from attngen.tune.space import Choice

_TRIES = 4
"""Submissions of one job to an executor that loses it."""
_LEAST_LIMIT_S = 10.0
_TIMES_UNTUNED = 50.0
_LONGEST_WAIT_S = 1e6
_TURNS_EACH = 2.5
"""A check, which shares the machine with another one, and the two turns without which nothing is known."""
_NO_SOURCE = "0" * 64


class Bench:
    """The turns of one subject. ``measured`` counts those that were made here, ``reused`` those that were read."""

    def __init__(self, measurer: Measurer, store: Store, submit: Submit, least_s: float, sweep: str) -> None:
        self._measurer, self._store, self._submit = measurer, store, submit
        self._least_s, self._sweep = least_s, sweep
        self._known: dict[tuple[str, str, int], Measurement] = {}
        self._named: dict[Choice, Configuration] = {}
        self._jobs: dict[Choice, dict[str, Any]] = {}
        self._ready: dict[Choice, float] = {}
        self._used: set[tuple[str, str, int]] = set()
        self._made: set[tuple[str, str, int]] = set()
        self._limit_s, self._check_s = 60.0, 0.0
        self.turn_s = 0.0
        """What a turn takes on the wall, lately."""

    @property
    def measured(self) -> int:
        return len(self._made)

    @property
    def reused(self) -> int:
        return len(self._used - self._made)

    def turns(
        self, stage: str, number: int, choices: Sequence[Choice], left_s: float = float("inf")
    ) -> dict[Choice, Measurement]:
        """One round: a turn of each, in an order that rotates with the rounds; the untuned plan is one of them.

        ``left_s``: time for it all; where that is not enough, the last of ``choices`` are left out.
        """
        self._refresh()
        missing = [one for one in choices if self._find(one, stage, number) is None]
        skipped = self._prepare(missing, stage, number, time.monotonic() + left_s)
        choices = [one for one in choices if one not in skipped]
        first = number % len(choices)
        order = [*choices[first:], *choices[:first]]
        return {one: self._find(one, stage, number) or self._time(one, stage, number) for one in order}

    def configuration(self, choice: Choice) -> Configuration:
        if choice not in self._named:
            self._named[choice] = self._measurer.configuration(choice)
        return self._named[choice]

    def _identity(self, choice: Choice) -> Configuration:
        """That of the configuration; of one without a source, a stand-in to say so under."""
        try:
            return self.configuration(choice)
        except PlanError:
            return Configuration(dict(choice), _NO_SOURCE, "none", "none")

    def _refresh(self) -> None:
        """Another sweep may have measured the same meanwhile."""
        for row in self._store.measurements(subject=self._measurer.subject):
            self._known[row.strict, row.stage, row.round] = row

    def _key(self, choice: Choice, stage: str, number: int) -> tuple[str, str, int]:
        blank = Measurement(self._measurer.subject, self._identity(choice), stage, number, "measured", 0.0, 0.0)
        return blank.strict, stage, number

    def _find(self, choice: Choice, stage: str, number: int) -> Measurement | None:
        key = self._key(choice, stage, number)
        found = self._known.get(key)
        if found is not None:
            self._used.add(key)
        return found

    def _prepare(self, choices: Sequence[Choice], stage: str, number: int, until: float) -> list[Choice]:
        """Compile and check what will be timed: side by side, before the first of them is timed.

        Returns what there is no time for: what waits for a compiler when half of the time is gone, and then what
        cannot be checked and timed in the rest, if each takes as long as the untuned plan.
        """
        untuned = self._measurer.space.untuned
        todo = [one for one in choices if one not in self._ready]
        if todo and untuned not in self._ready:  # it leaves the result that the others are compared with
            todo = [untuned, *(one for one in todo if one != untuned)]
        compiling = []
        for one in todo:
            try:
                self.configuration(one)
                compiling.append((one, {**self._measurer.compile_job(one), "do": "compile", "limit_s": 600.0}))
            except PlanError as error:
                self._fail(one, stage, number, f"cannot be emitted: {error.what}")
        pending = [(one, job, self._submit(job)) for one, job in compiling]
        # what checking needs takes a while to make: the compilers work meanwhile
        for one, _ in compiling:
            self._jobs[one] = self._measurer.job(one)
        half = time.monotonic() + (until - time.monotonic()) / 2
        late = [one for one, _, future in pending if one != untuned and _is_late(future, half)]
        compiled = self._passed([item for item in pending if item[0] not in late], stage, number)
        others = [one for one in compiled if one != untuned]
        for group in ([one for one in compiled if one == untuned], others):
            if group is others:
                late += group[_fitting(until - time.monotonic(), self._check_s) :]
                group = [one for one in group if one not in late]
            checks = [(one, {**self._jobs[one], "do": "check", "limit_s": self._limit_s}) for one in group]
            begun = time.monotonic()
            answers = self._passed([(one, job, self._submit(job)) for one, job in checks], stage, number)
            if group == [untuned]:  # no configuration that is worth its time takes so many times longer
                self._check_s = time.monotonic() - begun
                self._limit_s = max(_LEAST_LIMIT_S, _TIMES_UNTUNED * self._check_s) if answers else self._limit_s
            for one, answer in answers.items():
                self._ready[one] = float(answer.get("error", 0.0))
        return late

    def _passed(
        self, pending: Sequence[tuple[Choice, dict[str, Any], Future[dict[str, Any]]]], stage: str, number: int
    ) -> dict[Choice, dict[str, Any]]:
        """Those whose answer is no failure; a failure is a row at once."""
        passed = {}
        for one, job, future in pending:
            answer = self._answer(job, future)
            if "failed" in answer:
                self._fail(one, stage, number, str(answer["failed"]))
            else:
                passed[one] = answer
        return passed

    def _answer(self, job: dict[str, Any], future: Future[dict[str, Any]]) -> dict[str, Any]:
        for left in reversed(range(_TRIES)):
            try:
                return future.result()
            except AttngenError:
                raise
            except Exception as error:  # the executor has lost it, with the process it was in
                if not left:
                    raise TuneError(
                        f"the executor has lost a job {_TRIES} times: {type(error).__name__}: {error}",
                        place="executor",
                        remedy="leave the executor out; the sweep goes on from the store",
                    ) from error
                future = self._submit(job)
        raise AssertionError("not reached")

    def _time(self, choice: Choice, stage: str, number: int) -> Measurement:
        if choice not in self._ready:
            found = self._find(choice, stage, number)
            assert found is not None, "what is not ready has failed, and a row says so"
            return found
        job = {**self._jobs[choice], "do": "time", "least_s": self._least_s, "limit_s": self._limit_s}
        job |= {"plan": dict(choice), "stage": stage, "round": number}
        begun = time.monotonic()
        answer = self._answer(job, self._submit(job))
        self.turn_s = time.monotonic() - begun
        if "failed" in answer:
            return self._fail(choice, stage, number, str(answer["failed"]))
        return self._keep(
            Measurement(
                subject=self._measurer.subject,
                configuration=self.configuration(choice),
                stage=stage,
                round=number,
                status="measured",
                seconds=answer["seconds"],
                wall=answer["wall"],
                error=self._ready[choice],
                load=answer["load"],
                facts=answer["facts"],
                sweep=self._sweep,
                at=now(),
            )
        )

    def _fail(self, choice: Choice, stage: str, number: int, reason: str) -> Measurement:
        self._ready.pop(choice, None)
        made = self._identity(choice)
        facts: Mapping[str, float | int | str] = {}
        return self._keep(
            Measurement(
                self._measurer.subject, made, stage, number, "failed", 0.0, 0.0,
                reason=reason, facts=facts, sweep=self._sweep, at=now(),
            )
        )  # fmt: skip

    def _keep(self, row: Measurement) -> Measurement:
        """The row in the store: this one, or that of another sweep which was quicker."""
        key = (row.strict, row.stage, row.round)
        if self._store.add(row):
            self._made.add(key)
            self._known[key] = row
        else:
            self._refresh()
        self._used.add(key)
        return self._known[key]


def _is_late(compiling: Future[dict[str, Any]], until: float) -> bool:
    """Waits until then; whether it has not even begun. What has begun is waited for."""
    wait([compiling], max(0.0, min(until - time.monotonic(), _LONGEST_WAIT_S)))
    return not compiling.done() and compiling.cancel()


def _fitting(left_s: float, check_s: float) -> int:
    """How many configurations can be checked and timed in time, if a turn takes as long as a check; at least one."""
    return max(1, int(min(left_s / max(check_s, 1e-6) / _TURNS_EACH, 1e6)))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
