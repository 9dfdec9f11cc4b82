"""Two sets of measurements side by side: what became slower, between versions, compilers or days."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from attngen.records.row import Decision, Measurement, Subject


@dataclass(frozen=True, slots=True)
class Difference:
    """One plan of one subject: seconds of a call on either side, None where it was not measured.

    ``ratio`` is b / a (above 1: b is slower), None where a side is missing.
    """

    subject: Subject
    plan: Mapping[str, int]
    a: float | None
    b: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.a is None or self.b is None else self.b / self.a


def diff(a: Iterable[Measurement | Decision], b: Iterable[Measurement | Decision]) -> list[Difference]:
    """Plan by plan, whatever sources, compilers and versions made them; the largest change first.

    The time of a plan is the median over its rounds, of the final stage where it got there.
    """
    sides, subjects = (_times(a), _times(b)), dict[_Key, Subject]()
    for times in sides:
        for key, (subject, _) in times.items():
            subjects.setdefault(key, subject)
    found = [
        Difference(subject, dict(key[1]), *(times[key][1] if key in times else None for times in sides))
        for key, subject in subjects.items()
    ]
    return sorted(found, key=lambda one: -max(one.ratio, 1 / one.ratio) if one.ratio else 0.0)


_Key = tuple[Subject, tuple[tuple[str, int], ...]]


def _times(rows: Iterable[Measurement | Decision]) -> dict[_Key, tuple[Subject, float]]:
    turns: defaultdict[_Key, list[Measurement]] = defaultdict(list)
    for row in rows:
        if isinstance(row, Measurement) and row.status == "measured":
            # a name is for people: two may stand for one subject
            turns[replace(row.subject, name=""), tuple(row.configuration.plan.items())].append(row)
    return {key: (some[0].subject, _time(some)) for key, some in turns.items()}


def _time(turns: list[Measurement]) -> float:
    stage = "final" if any(turn.stage == "final" for turn in turns) else turns[0].stage
    return statistics.median(turn.seconds for turn in turns if turn.stage == stage)
