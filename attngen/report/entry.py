"""What was tried, configuration by configuration, from the turns of one subject."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from attngen.records.row import Configuration, Measurement
from attngen.records.summary import key_of

Round = tuple[str, int]  # stage and number


@dataclass(frozen=True, slots=True)
class Entry:
    """One configuration. ``turns`` were measured; ``failure`` is the last turn that failed, if one did."""

    configuration: Configuration
    turns: tuple[Measurement, ...]
    failure: Measurement | None

    @property
    def plan(self) -> str:
        return plan_text(self.configuration.plan)

    def label(self, same: Mapping[str, int], without: Collection[str] = ()) -> str:
        """The fields that are not the ``same`` in all configurations."""
        left = {k: v for k, v in self.configuration.plan.items() if k not in same and k not in without}
        return plan_text(left) if left else ""

    @property
    def stage(self) -> str:
        """The last stage that it reached."""
        return next((stage for stage in ("final", "static") if self.of(stage)), "screen")

    def of(self, stage: str) -> tuple[Measurement, ...]:
        return tuple(turn for turn in self.turns if turn.stage == stage)

    @property
    def samples(self) -> list[float]:
        """Seconds of its last stage."""
        return [turn.seconds for turn in self.of(self.stage)]

    @property
    def seconds(self) -> float:
        """The median of `samples`."""
        return statistics.median(self.samples)

    @property
    def good(self) -> bool:
        """Measured, and never failed: what failed in one round is no candidate."""
        return bool(self.turns) and self.failure is None

    def facts(self) -> dict[str, float | int | str]:
        return dict(self.turns[-1].facts) if self.turns else {}

    def rounds(self) -> dict[Round, float]:
        return {(turn.stage, turn.round): turn.seconds for turn in self.turns}


def entries(rows: Sequence[Measurement]) -> list[Entry]:
    """The good ones by time, fastest first, then those that failed."""
    turns: defaultdict[tuple[object, ...], list[Measurement]] = defaultdict(list)
    for row in rows:
        turns[key_of(row.configuration)].append(row)
    made = []
    for some in turns.values():
        measured = tuple(row for row in some if row.status == "measured")
        failure = next((row for row in reversed(some) if row.status == "failed"), None)
        made.append(Entry(some[0].configuration, measured, failure))
    return sorted(made, key=lambda one: (not one.good, one.seconds if one.turns else 0.0))


def entry_of(found: Sequence[Entry], plan: Mapping[str, int]) -> Entry | None:
    """The fastest good one of a plan."""
    return next((one for one in found if one.good and one.configuration.plan == plan), None)


def common(found: Sequence[Entry]) -> dict[str, int]:
    """The fields of the plan that are the same in all, where there are several to tell apart."""
    plans = [one.configuration.plan for one in found]
    if len(set(map(plan_text, plans))) < 2:
        return {}
    return {name: value for name, value in plans[0].items() if all(plan.get(name) == value for plan in plans)}


def paired(entry: Entry, untuned: Entry, stage: str) -> list[float]:
    """Untuned time over its own, round by round: both ran in the same minute, so drift of the machine falls out."""
    base = untuned.rounds()
    return [base[turn.stage, turn.round] / turn.seconds for turn in entry.of(stage) if (turn.stage, turn.round) in base]


def plan_text(plan: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in plan.items()) or "the only plan"
