"""Tables of `attngen records`: one a place, that is a target, a device and a kind of result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attngen.cli.output import console, printable

if TYPE_CHECKING:
    from attngen.records.difference import Difference
    from attngen.records.row import Subject
    from attngen.records.summary import Summary

_CALL = ("spec", "dtype", "b x q x kv")


def print_summaries(found: list[Summary]) -> None:
    rows: dict[str, list[tuple[str, ...]]] = {}
    for one in found:
        decided = one.decision
        winner = _plan(decided.configuration.plan) if decided else "-"
        if decided and decided.configuration.plan == decided.untuned:
            winner += " (untuned)"
        gain = f"{decided.ratio:.2f}x ±{decided.noise:.2f}" if decided else "-"
        counts = (f"{one.tried - one.failed}", f"{one.failed}")
        rows.setdefault(_place(one.subject), []).append((*_call(one.subject), gain, *counts, winner))
    _tables((*_CALL, "gain", "measured", "failed", "winner"), rows)
    what = "1 subject" if len(found) == 1 else f"{len(found)} subjects"
    console().print(f"{what}; gain: time of the untuned plan over the winner's, measured anew")


def print_differences(found: list[Difference]) -> None:
    rows: dict[str, list[tuple[str, ...]]] = {}
    for one in found:
        ratio = f"{one.ratio:.3f}" if one.ratio else "-"
        times = (_microseconds(one.a), _microseconds(one.b), ratio)
        rows.setdefault(_place(one.subject), []).append((*_call(one.subject), *times, _plan(one.plan)))
    _tables((*_CALL, "a us", "b us", "b / a", "plan"), rows)


def _call(subject: Subject) -> tuple[str, ...]:
    return (subject.name, subject.dtype, f"{subject.batch}x{subject.seqlen_q}x{subject.seqlen_kv}")


def _place(subject: Subject) -> str:
    threads = f"{subject.threads} threads" if subject.threads > 1 else ""
    return ", ".join(filter(None, (subject.target, subject.device, threads, subject.kind)))


def _plan(plan: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in plan.items())


def _microseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e6:.1f}"


def _tables(headings: tuple[str, ...], groups: dict[str, list[tuple[str, ...]]]) -> None:
    """One table a place; the plan, which is longest, comes last and may be folded."""
    from rich.table import Table
    from rich.text import Text

    for place, rows in groups.items():
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            last = heading == headings[-1]
            left = last or heading in _CALL[:2]
            table.add_column(heading, justify="left" if left else "right", overflow="fold", no_wrap=not last)
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console().print(Text(printable(place), "bold"))
        console().print(table)
        console().print()
