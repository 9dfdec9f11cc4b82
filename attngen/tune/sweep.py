"""One subject from the first batch to the decision. Only times decide: the same times make the same sweep."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

from attngen.records.row import Decision, Measurement
from attngen.records.store import Store
from attngen.tune.effort import Effort
from attngen.tune.measure import Bench, now
from attngen.tune.measurer import Measurer, Submit
from attngen.tune.race import LEAST_ROUNDS, beats, gain, is_out, leader
from attngen.tune.result import Progress, Result, TuneError
from attngen.tune.search import fresh_order, propose
from attngen.tune.space import Choice

Report = Callable[[Progress], None]

_WORTH_A_FINAL = 1.02
"""A configuration that was slower by more than this has lost already."""
_CUT_SHORT = "the budget was spent before the final rounds: nothing was decided; the same command goes on from here"
_COMPILE_S = 0.8
"""What a configuration takes to compile and check, about, two of them at a time."""
_MOST_RESERVED = 0.3
"""Of the budget, for the final rounds."""


class Sweep:
    """A sweep over one subject. ``budget_s`` counts from ``run``; nothing new is begun when it is spent."""

    def __init__(
        self,
        measurer: Measurer,
        store: Store,
        submit: Submit,
        effort: Effort,
        *,
        shape: str,
        name: str,
        budget_s: float,
        report: Report | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._measurer, self._store, self._effort = measurer, store, effort
        self._bench = Bench(measurer, store, submit, effort.least_s, name)
        self._shape, self._name, self._budget_s = shape, name, budget_s
        self._report, self._clock = report, clock
        self._ratios: dict[Choice, list[float]] = {}
        self._finals: dict[Choice, list[float]] = {}
        self._failed: dict[Choice, str] = {}
        self._history: dict[Choice, float | None] = {}
        self._begun = 0.0
        self._done = 0
        self._cut_short = False

    def run(self) -> Result:
        """The decision is stored; interrupted by Ctrl-C, what is known is returned and nothing is decided."""
        self._begun = self._clock()
        try:
            self._screen()
            self._final()
        except KeyboardInterrupt:
            return self._result(self._so_far(), interrupted=True)
        if self._cut_short:
            return self._result(self._so_far())
        best = self._winner()
        self._decide(best)
        return self._result(best)

    @property
    def _untuned(self) -> Choice:
        return self._measurer.space.untuned

    def _left_s(self) -> float:
        return self._budget_s - (self._clock() - self._begun)

    def _reserve_s(self) -> float:
        """What the fewest final rounds will take; more of them are made if there is time."""
        there = sum(one not in self._failed for one in self._ratios)
        wanted = (min(self._effort.finalists, there) + 1) * LEAST_ROUNDS * self._bench.turn_s
        return min(wanted, _MOST_RESERVED * self._budget_s)

    def _most_reserved_s(self) -> float:
        return min(_MOST_RESERVED * self._budget_s, 1e9)

    def _round_s(self, choices: Sequence[Choice]) -> float:
        return (len(choices) + 1) * self._bench.turn_s

    def _screen(self) -> None:
        """Batches of configurations beside the untuned plan, until nothing is left to hope for, or no time."""
        number = 0
        while batch := propose(self._measurer.space, self._history, self._effort):
            if number and self._left_s() < self._reserve_s() + 2 * self._round_s(batch) + _COMPILE_S * len(batch):
                break
            self._screen_batch(batch, number * self._effort.rounds)
            number += 1

    def _screen_batch(self, batch: Sequence[Choice], first: int) -> None:
        alive = list(batch)
        self._ratios |= {one: [] for one in batch}
        self._say("compile" if self._bench.turn_s == 0 else "screen")
        for turn in range(self._effort.rounds):
            if not alive or (turn and self._left_s() < self._reserve_s() + self._round_s(alive)):
                break
            alive = self._round("screen", first + turn, alive, self._ratios)
            best = leader(self._ratios)
            alive = [one for one in alive if not is_out(self._ratios[one], best)]
        for one in batch:
            rounds = self._ratios[one]
            if one in self._failed:
                self._history[one] = None
            elif rounds:  # else there was no time for it
                self._history[one] = statistics.median(rounds)

    def _round(
        self, stage: str, number: int, choices: Sequence[Choice], into: dict[Choice, list[float]]
    ) -> list[Choice]:
        """A turn of each, beside the untuned plan; who is still there."""
        left_s = self._left_s() - (self._most_reserved_s() if stage == "screen" else 0.0)
        rows = self._bench.turns(stage, number, [self._untuned, *choices], left_s)
        base = rows[self._untuned]
        if base.status == "failed":
            raise TuneError(
                f"the untuned plan itself fails: {base.reason}",
                place=self._shape,
                remedy="it is a bug: report it with `attngen run SPEC`; or the machine is out of memory",
            )
        there = []
        for one in choices:
            row: Measurement | None = rows.get(one)
            if row is None:  # there is no time for it
                continue
            if row.status == "failed":
                self._failed[one] = row.reason
                continue
            into.setdefault(one, []).append(row.seconds / base.seconds)
            there.append(one)
        self._done += len(rows)
        self._say(stage)
        return there

    def _final(self) -> None:
        """The best of all batches and the untuned plan again, in another order: luck has chosen them too."""
        scored = [(score, one) for one, score in self._history.items() if score is not None and one not in self._failed]
        finalists = [one for score, one in sorted(scored) if score < _WORTH_A_FINAL][: self._effort.finalists]
        while len(finalists) > 1 and self._left_s() < LEAST_ROUNDS * self._round_s(finalists):
            finalists.pop()
        alive = fresh_order(finalists, self._measurer.subject.loose)
        for number in range(self._effort.final_rounds):
            if not alive or self._left_s() < self._round_s(alive):
                break
            alive = self._round("final", number, alive, self._finals)
        self._cut_short = any(len(self._finals.get(one, ())) < LEAST_ROUNDS for one in alive)

    def _winner(self) -> Choice:
        """The best of the final rounds, if it beats the untuned plan beyond noise; else the untuned plan."""
        good = [one for one, ratios in self._finals.items() if one not in self._failed and beats(ratios)]
        return min(good, key=lambda one: (statistics.median(self._finals[one]), one), default=self._untuned)

    def _so_far(self) -> Choice:
        known = {one: score for one, score in self._history.items() if score is not None and score < 1.0}
        return min(known, key=lambda one: known[one], default=self._untuned)

    def _gain(self, choice: Choice) -> tuple[float, float]:
        ratios = self._finals.get(choice) or self._ratios.get(choice)
        return gain(ratios) if ratios and choice != self._untuned else (1.0, 0.0)

    def _decide(self, best: Choice) -> None:
        ratio, noise = self._gain(best)
        self._store.decide(
            Decision(
                subject=self._measurer.subject,
                configuration=self._bench.configuration(best),
                untuned=dict(self._untuned),
                ratio=ratio,
                noise=noise,
                tried=len(self._history),
                failed=len(self._failed),
                sweep=self._name,
                at=now(),
            )
        )

    def _result(self, best: Choice, *, interrupted: bool = False) -> Result:
        ratio, noise = self._gain(best)
        return Result(
            shape=self._shape,
            best=dict(best),
            untuned=dict(self._untuned),
            ratio=ratio,
            noise=noise,
            measured=self._bench.measured,
            reused=self._bench.reused,
            failed=len(self._failed),
            tried=len(self._history),
            space=len(self._measurer.space),
            seconds=self._clock() - self._begun,
            failures=tuple((dict(one), reason) for one, reason in self._failed.items()),
            interrupted=interrupted,
            decided=not interrupted and not self._cut_short,
            note=_CUT_SHORT if self._cut_short else "",
        )

    def _say(self, phase: str) -> None:
        if self._report is None:
            return
        best = self._so_far()
        most = min(self._effort.most, max(0, len(self._measurer.space) - 1))
        batches = math.ceil(most / self._effort.batch)
        turns = (most + batches) * self._effort.rounds + (self._effort.finalists + 1) * self._effort.final_rounds
        self._report(Progress(self._shape, phase, self._done, turns, dict(best), self._gain(best)[0], self._left_s()))
