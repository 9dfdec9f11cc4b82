"""One subject's part of the report: every table and plot as ready-made values for the template."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from attngen.records.row import Decision, Measurement, Subject
from attngen.report.entry import Entry, common, entries, entry_of, paired, plan_text
from attngen.report.figures import Axis, shown, shown_time
from attngen.report.landscape import Grid, landscape
from attngen.report.plots import Dot, Scatter, Strips, noise, samples, scatter
from attngen.report.why import Comparison, why

_FIRST_ROWS, _MOST_ROWS = 12, 100  # seen at once, and in all
_TABLE = 150  # the width of the samples in the table
_SLOWEST = 1.5  # times the best: where their axis ends, so that the fast ones can be told apart
_STATIC = "Nothing ran here: times are predictions that take into account what the compiler made of each plan."


@dataclass(frozen=True, slots=True)
class Tried:
    """A row of the table. ``gain`` is the untuned time over its own, of paired rounds where there are any."""

    plan: str
    mark: str  # "winner", "untuned" or ""
    time: str
    gain: str
    turns: int
    stage: str
    predicted: str
    error: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    plan: str
    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Section:
    anchor: str
    title: str
    place: str
    note: str
    measured: str  # what the times are
    verdict: str
    tried: tuple[Tried, ...]
    rest: tuple[Tried, ...]
    same: str
    more: int
    grids: tuple[Grid, ...]
    more_grids: int
    scatter: Scatter | None
    strips: Strips | None
    why: tuple[Comparison, ...]
    failures: tuple[Failure, ...]
    circumstances: tuple[tuple[str, str], ...]


def section(number: int, subject: Subject, rows: Sequence[Measurement], decision: Decision | None) -> Section:
    """The values of one subject. Without a decision nothing is called a winner."""
    found = entries(rows)
    winner = entry_of(found, decision.configuration.plan) if decision else None
    untuned = entry_of(found, decision.untuned) if decision else None
    same = common(found)
    grids, more_grids = landscape(found, same)
    good = [one for one in found if one.good]
    tried = _tried(good, winner, untuned, same)[:_MOST_ROWS]
    shape = f"{subject.batch} × {subject.seqlen_q} × {subject.seqlen_kv}"
    threads = f"{subject.threads} threads" if subject.threads > 1 else ""
    place = (subject.target, subject.device, threads, f"{subject.kind} results")
    return Section(
        anchor=f"s{number}",
        title=f"{subject.name or subject.spec[:12]}, {subject.dtype}, {shape}",
        place=", ".join(filter(None, place)),
        note=_STATIC if subject.kind == "static" else "",
        measured="from compiled code" if subject.kind == "static" else "measured",
        verdict=_verdict(decision, found, untuned),
        tried=tried[:_FIRST_ROWS],
        rest=tried[_FIRST_ROWS:],
        same=plan_text(same) if same else "",
        more=max(0, len(good) - _MOST_ROWS),
        grids=grids,
        more_grids=more_grids,
        scatter=scatter(found, winner, untuned),
        strips=noise(found, winner, untuned),
        why=why(winner, untuned),
        failures=tuple(_failure(one) for one in found if one.failure),
        circumstances=_circumstances(rows),
    )


def _verdict(decision: Decision | None, found: Sequence[Entry], untuned: Entry | None) -> str:
    failed = sum(not one.good for one in found)
    tried = f"{len(found)} configurations were tried, {failed} failed."
    if decision is None:
        return f"Nothing is decided. {tried}"
    if decision.configuration.plan == decision.untuned:
        return f"The untuned plan was kept: {plan_text(decision.untuned)}. {tried}"
    winner = plan_text(decision.configuration.plan)
    if untuned is None:
        return f"{winner} wins; of the untuned plan ({plan_text(decision.untuned)}) no good time is here. {tried}"
    gain = f"{decision.ratio:.3f} times as fast as the untuned plan (noise ± {decision.noise:.3f})"
    return f"{winner} wins: {gain}. {tried}"


def _tried(
    good: Sequence[Entry], winner: Entry | None, untuned: Entry | None, same: Mapping[str, int]
) -> tuple[Tried, ...]:
    if not good:
        return ()
    best = min(turn.seconds for one in good for turn in one.turns)
    seen = [min(turn.seconds, _SLOWEST * best) for one in good for turn in one.turns]
    axis = Axis.over(seen, 4, _TABLE - 4)
    return tuple(
        Tried(
            plan=one.label(same),
            mark="winner" if one is winner else "untuned" if one is untuned else "",
            time=shown_time(one.seconds),
            gain=_gain(one, untuned),
            turns=len(one.samples),
            stage=one.stage,
            predicted=shown_time(one.configuration.predicted_us * 1e-6) if one.configuration.predicted_us else "-",
            error=f"{one.turns[-1].error:.2f}",
            dots=samples(one, axis),
        )
        for one in good
    )


def _gain(one: Entry, untuned: Entry | None) -> str:
    if untuned is None:
        return "-"
    ratios = paired(one, untuned, one.stage)
    return f"{statistics.median(ratios):.3f}" if ratios else f"{untuned.seconds / one.seconds:.3f}"


def _failure(one: Entry) -> Failure:
    assert one.failure is not None
    return Failure(one.plan, f"{one.failure.stage} {one.failure.round}", one.failure.reason or "no reason was kept")


def _circumstances(rows: Sequence[Measurement]) -> tuple[tuple[str, str], ...]:
    loads = [row.load for row in rows]
    times = sorted(row.at for row in rows if row.at)
    load = (
        f"{shown(min(loads))} to {shown(max(loads))}, {shown(statistics.median(loads))} in the middle" if loads else "-"
    )
    return (
        ("load average", load),
        ("compilers", _listed(row.configuration.compiler for row in rows)),
        ("versions", _listed(row.configuration.versions for row in rows)),
        ("caches", _listed(str(row.facts.get("cache", "")) for row in rows)),
        ("turns", str(len(rows))),
        ("sweeps", str(len({row.sweep for row in rows}))),
        ("from", times[0] if times else "-"),
        ("to", times[-1] if times else "-"),
    )


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(sorted({text for text in texts if text})) or "-"
