"""Time over block sizes: one grid for each choice of the other fields."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attngen.report.entry import Entry
from attngen.report.figures import shown_time

_FIRST_CHOICE = ("block_m", "block_n")
_MOST_GRIDS = 12
_SHADES = 9  # classes s0 (fastest) to s8 of the style sheet
_SLOWEST = 2.0  # the last shade: twice the best time, and more


@dataclass(frozen=True, slots=True)
class Cell:
    """``text`` is the time over the best of the subject; ``shade`` a class of the style sheet."""

    text: str
    shade: str
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """``rows`` by ``columns`` are names of fields; ``others`` says what is fixed here."""

    others: str
    rows: str
    columns: str
    heads: tuple[str, ...]
    lines: tuple[Line, ...]


def landscape(found: Sequence[Entry], same: Mapping[str, int]) -> tuple[tuple[Grid, ...], int]:
    """The grids, that with the best time first, and how many more there would be. ``same`` fields go unsaid."""
    names = sorted({name for one in found for name in one.configuration.plan})
    best = min((one.seconds for one in found if one.good), default=None)
    if best is None or not names:
        return (), 0
    down, across = _axes(found, names)
    groups: dict[str, list[Entry]] = {}
    for one in found:  # the fastest comes first, so the groups are in order
        groups.setdefault(one.label(same, without=(down, across)), []).append(one)
    grids = tuple(_grid(others, some, down, across, best) for others, some in groups.items())
    return grids[:_MOST_GRIDS], max(0, len(grids) - _MOST_GRIDS)


def _axes(found: Sequence[Entry], names: Sequence[str]) -> tuple[str, str]:
    """block_m down and block_n across, or what varies most where a plan has not both."""
    if set(_FIRST_CHOICE) <= set(names):
        return _FIRST_CHOICE
    count = {name: len({one.configuration.plan.get(name) for one in found}) for name in names}
    ordered = sorted(names, key=lambda name: (-count[name], name))
    return (ordered[1], ordered[0]) if len(ordered) > 1 else ("", ordered[0])


def _grid(others: str, some: Sequence[Entry], down: str, across: str, best: float) -> Grid:
    there: dict[tuple[int, int], Entry] = {}
    for one in some:
        there.setdefault((one.configuration.plan.get(down, 0), one.configuration.plan.get(across, 0)), one)
    rows, columns = (sorted({place[i] for place in there}) for i in (0, 1))
    lines = tuple(
        Line(str(row) if down else "", tuple(_cell(there.get((row, column)), best) for column in columns))
        for row in rows
    )
    return Grid(others, down, across, tuple(map(str, columns)), lines)


def _cell(one: Entry | None, best: float) -> Cell:
    if one is None:
        return Cell("", "none", "not tried")
    if not one.good:
        reason = one.failure.reason if one.failure else "no turn was measured"
        return Cell("×", "failed", f"{one.plan}: {reason}")
    ratio = one.seconds / best
    shade = min(_SHADES - 1, int(math.log(ratio) / math.log(_SLOWEST) * _SHADES))
    return Cell(f"{ratio:.2f}", f"s{shade}", f"{one.plan}: {shown_time(one.seconds)}")
