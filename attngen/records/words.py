"""Decisions in words, for people: one line in a plan, a table in the header of an emitted file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attngen.records.row import Decision


def verdict(decision: Decision) -> str:
    """What was found, in half a line."""
    tried = f"of {decision.tried} plans" if decision.tried > 1 else "of one plan"
    if dict(decision.configuration.plan) == dict(decision.untuned):
        return f"{tried} none beats the untuned one beyond noise"
    return f"the best {tried}, {decision.ratio:.3f} (±{decision.noise:.3f}) times as fast as the untuned one"


def settled(
    decisions: Sequence[Decision], untuned: Mapping[str, int | None]
) -> tuple[Mapping[str, int] | None, str, tuple[str, ...]]:
    """(the plan to take or None, a line that says why, remarks for a header) of the first of ``decisions``.

    ``untuned``: the same fields of today's untuned plan. Nothing is known of that one if another was measured.
    """
    first = decisions[0]
    if dict(untuned) != dict(first.untuned):
        said = f"tuned on {first.at[:10]}, against a plan that is not the untuned one any more: tune again"
        return None, said, (said,)
    said = f"tuned on {first.at[:10]} at {first.subject.shape_class}: {verdict(first)}"
    plan = first.configuration.plan
    return (None if dict(plan) == dict(first.untuned) else plan), said, remarks_of(decisions)


def plan_words(plan: Mapping[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in plan.items())


def remarks_of(decisions: Sequence[Decision]) -> tuple[str, ...]:
    """A table by class of shapes. The first decision is the one that the file is made with."""
    if not decisions:
        return ()
    first = decisions[0]
    rows = [
        (f"{one.subject.shape_class}{_batch(one)}", plan_words(one.configuration.plan), verdict(one))
        for one in decisions
    ]
    rows.append(("else", plan_words(first.untuned), "the untuned plan, which is the fallback"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = (f"  {name:<{widths[0]}}  {plan:<{widths[1]}}  {words}" for name, plan, words in rows)
    return (
        f"Tuned on {first.subject.device}, by the CPU time of one thread; this file has the plan of the first row:",
        *lines,
    )


def _batch(decision: Decision) -> str:
    return f" x {decision.subject.batch}" if decision.subject.batch > 1 else ""
