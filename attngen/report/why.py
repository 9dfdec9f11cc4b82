"""What is known of the winner beside the untuned plan."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from attngen.report.entry import Entry
from attngen.report.figures import shown


@dataclass(frozen=True, slots=True)
class Comparison:
    """A fact of the winner beside that of the untuned plan."""

    name: str
    winner: str
    untuned: str
    ratio: str


def why(winner: Entry | None, untuned: Entry | None) -> tuple[Comparison, ...]:
    """The plan's fields that differ, then what is known of both: the reasons, as far as there are any."""
    if winner is None or untuned is None or winner is untuned:
        return ()
    plans = [one.configuration.plan for one in (winner, untuned)]
    fields = [name for name in sorted({*plans[0], *plans[1]}) if plans[0].get(name) != plans[1].get(name)]
    rows = [_comparison(name, plans[0].get(name), plans[1].get(name)) for name in fields]
    rows.append(_comparison("time of a call, µs", winner.seconds * 1e6, untuned.seconds * 1e6))
    rows.append(
        _comparison("wall time, µs", *(statistics.median(t.wall for t in e.turns) * 1e6 for e in (winner, untuned)))
    )
    if winner.configuration.predicted_us and untuned.configuration.predicted_us:
        pair = (winner.configuration.predicted_us, untuned.configuration.predicted_us)
        rows.append(_comparison("predicted, µs", *pair))
    rows.append(_comparison("error ratio", winner.turns[-1].error, untuned.turns[-1].error))
    mine, theirs = winner.facts(), untuned.facts()
    return tuple(rows + [_comparison(name, mine.get(name), theirs.get(name)) for name in sorted({*mine, *theirs})])


def _comparison(name: str, winner: float | int | str | None, untuned: float | int | str | None) -> Comparison:
    numbers = isinstance(winner, (int, float)) and isinstance(untuned, (int, float)) and untuned != 0
    ratio = f"{winner / untuned:.3f}" if numbers else ""  # type: ignore[operator]
    texts = ["-" if value is None else shown(value) for value in (winner, untuned)]
    return Comparison(name.replace("_", " "), texts[0], texts[1], ratio)
