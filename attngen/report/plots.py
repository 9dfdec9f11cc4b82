"""Drawings as numbers: dots, ticks and bars that a template places. No drawing library, and no markup here."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from attngen.report.entry import Entry, paired
from attngen.report.figures import Axis, kendall_tau, middle_half, shown_time, tick_text

_WIDTH, _HEIGHT, _LEFT, _TOP, _BELOW = 320, 260, 62, 12, 36  # of the scatter, in its own units
_KINDS = ("other", "untuned", "winner")
_STRIP = 300  # the width of a strip


@dataclass(frozen=True, slots=True)
class Dot:
    x: float
    y: float
    kind: str  # a class of the style sheet
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Predicted (across) against measured (up), with the line where both are equal."""

    width: int
    height: int
    left: int
    top: int
    right: int
    bottom: int
    dots: tuple[Dot, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    diagonal: tuple[Tick, ...]  # ends of the line: x as ``at``, y as ``text``
    tau: str
    count: int
    off: str


def scatter(found: Sequence[Entry], winner: Entry | None, untuned: Entry | None) -> Scatter | None:
    """None where fewer than two configurations have both a prediction and a time."""
    both = [one for one in found if one.good and one.configuration.predicted_us > 0]
    both.sort(key=lambda one: _KINDS.index(_kind(one, winner, untuned)))  # what is drawn last is on top
    if len(both) < 2:
        return None
    predicted = [one.configuration.predicted_us * 1e-6 for one in both]
    measured = [one.seconds for one in both]
    right, bottom = _WIDTH - 10, _HEIGHT - _BELOW
    x, y = Axis.over(predicted, _LEFT, right), Axis.over(measured, bottom, _TOP)
    dots = tuple(
        Dot(
            x.at(p),
            y.at(m),
            _kind(one, winner, untuned),
            f"{one.plan}: {shown_time(p)} predicted, {shown_time(m)} measured",
        )
        for p, m, one in zip(predicted, measured, both, strict=True)
    )
    low, high = max(x.low, y.low), min(x.high, y.high)
    ends = (
        (Tick(x.at(low), str(y.at(low))), Tick(x.at(high), str(y.at(high)))) if low < high and x.wide == y.wide else ()
    )
    tau = kendall_tau(predicted, measured)
    off = statistics.median(p / m for p, m in zip(predicted, measured, strict=True))
    return Scatter(
        width=_WIDTH, height=_HEIGHT, left=_LEFT, top=_TOP, right=right, bottom=bottom, dots=dots,
        across=_ticks(x), up=_ticks(y), diagonal=ends,
        tau="-" if tau is None else f"{tau:.2f}", count=len(both), off=f"{off:.2f}",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Strip:
    """One row of dots on the axis of its plot; ``low`` to ``low + span`` is the middle half, ``median`` a mark."""

    label: str
    winner: bool
    kind: str
    dots: tuple[Dot, ...]
    low: float
    span: float
    median: float
    text: str


@dataclass(frozen=True, slots=True)
class Strips:
    """Rows on one axis; ``one`` is where a ratio of 1 stands, that is the plan that ``base`` names."""

    width: int
    base: str
    ticks: tuple[Tick, ...]
    one: float
    rows: tuple[Strip, ...]


def noise(found: Sequence[Entry], winner: Entry | None, untuned: Entry | None) -> Strips | None:
    """Final rounds: time of the untuned plan (of the fastest, where that is not known) over theirs, round by round.

    None where fewer than two got there.
    """
    finalists = [one for one in found if one.good and one.of("final")]
    if len(finalists) < 2:
        return None
    base = untuned if untuned in finalists and untuned else finalists[0]
    ratios = [(one, paired(one, base, "final")) for one in finalists if one is not base]
    axis = Axis.over([1.0, *(ratio for _, some in ratios for ratio in some)], 6, _STRIP - 6)
    rows = [_strip(one, _kind(one, winner, untuned), some, axis) for one, some in ratios if some]
    rows.sort(key=lambda row: -row.median)
    ticks = tuple(Tick(axis.at(tick), f"{tick:.3g}") for tick in axis.ticks())
    return Strips(_STRIP, "untuned" if base is untuned else "fastest", ticks, axis.at(1.0), tuple(rows))


def _strip(one: Entry, kind: str, ratios: Sequence[float], axis: Axis) -> Strip:
    low, high = middle_half(ratios)
    median = statistics.median(ratios)
    dots = tuple(Dot(axis.at(ratio), 10, kind, f"{ratio:.3f}") for ratio in ratios)
    text = f"{median:.3f}; middle half of {len(ratios)} rounds: {low:.3f} to {high:.3f}"
    span = round(axis.at(high) - axis.at(low), 1)
    return Strip(one.plan, kind == "winner", kind, dots, axis.at(low), span, axis.at(median), text)


def samples(entry: Entry, axis: Axis) -> tuple[Dot, ...]:
    """The turns of one configuration on the axis of its table; slower ones stand at its end."""
    return tuple(
        Dot(
            axis.at(min(turn.seconds, axis.high)),
            8,
            turn.stage,
            f"{turn.stage} {turn.round}: {shown_time(turn.seconds)}",
        )
        for turn in entry.turns
    )


def _kind(one: Entry, winner: Entry | None, untuned: Entry | None) -> str:
    return "winner" if one is winner else "untuned" if one is untuned else "other"


def _ticks(axis: Axis) -> tuple[Tick, ...]:
    return tuple(Tick(axis.at(tick), tick_text(tick)) for tick in axis.ticks())
