"""A store at a glance: one line a subject."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from attngen.records.row import Configuration, Decision, Measurement, Subject
from attngen.records.store import Store


@dataclass(frozen=True, slots=True)
class Summary:
    """``tried`` configurations, of which ``failed`` did once; ``turns`` were measured. No decision: none is stored."""

    subject: Subject
    decision: Decision | None
    tried: int
    failed: int
    turns: int


def summaries(store: Store) -> list[Summary]:
    """One for each exact subject. A decision stands with the subject that it was made for."""
    rows: defaultdict[Subject, list[Measurement]] = defaultdict(list)
    for row in store.measurements():
        rows[row.subject].append(row)
    decisions = {one.subject: one for one in store.decisions()}
    return [_summary(subject, decisions.get(subject), rows[subject]) for subject in store.subjects()]


def key_of(made: Configuration) -> tuple[object, ...]:
    """What tells configurations of one subject apart."""
    return (tuple(made.plan.items()), made.source, made.compiler, made.versions)


def _summary(subject: Subject, decision: Decision | None, rows: list[Measurement]) -> Summary:
    measured = [row for row in rows if row.status == "measured"]
    failed = {key_of(row.configuration) for row in rows if row.status == "failed"}
    tried = {key_of(row.configuration) for row in rows}
    return Summary(subject, decision, len(tried), len(failed), len(measured))
