"""Rows as lines of JSON: to carry them to another machine, into a repository, past a version.

A line names its kind and holds every field, nested as the rows are. Reading is strict: see `checked`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, NoReturn, TextIO

from attngen.errors import StoreError, did_you_mean
from attngen.records import checked
from attngen.records.difference import Difference, diff
from attngen.records.row import Decision, Measurement
from attngen.records.store import Store

__all__ = ["Difference", "diff", "export", "from_line", "import_", "read", "to_line"]

_LONGEST_LINE = 1 << 20
_READERS: Mapping[str, Callable[[object, str], Measurement | Decision]] = {
    "measurement": checked.measurement,
    "decision": checked.decision,
}


def to_line(row: Measurement | Decision) -> str:
    """One line without its end. The same row gives the same text."""
    record = {"kind": "measurement" if isinstance(row, Measurement) else "decision", **asdict(row)}
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


def from_line(line: str, *, place: str = "line 1") -> Measurement | Decision:
    """The row of a line. StoreError names ``place``, the key and the value that is wrong."""
    if len(line) > _LONGEST_LINE:
        raise StoreError(f"{len(line)} characters", place=place, remedy=f"a record has at most {_LONGEST_LINE}")
    try:
        record = json.loads(line, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise StoreError(
            f"is no JSON: {what[:200]}", place=place, remedy="`attngen records export` makes such lines"
        ) from None
    if not isinstance(record, dict) or "kind" not in record:
        raise StoreError("is no record", place=place, remedy='an object with "kind": "measurement" or "decision"')
    kind = record.pop("kind")
    if not isinstance(kind, str) or kind not in _READERS:
        raise StoreError(f"kind {kind!a:.60} is not known", place=place, remedy=did_you_mean(str(kind)[:60], _READERS))
    return _READERS[kind](record, place)


def read(file: Iterable[str], name: str = "") -> Iterator[Measurement | Decision]:
    """The rows of a file of lines; empty lines are passed over."""
    for number, line in enumerate(file, 1):
        if line.strip():
            yield from_line(line, place=f"{name}:{number}" if name else f"line {number}")


def export(store: Store, file: TextIO) -> int:
    """Every measurement and decision of a store; returns how many lines."""
    rows: list[Measurement | Decision] = [*store.measurements(), *store.decisions()]
    file.writelines(f"{to_line(row)}\n" for row in rows)
    return len(rows)


def import_(store: Store, file: Iterable[str], name: str = "") -> tuple[int, int]:
    """(added, known). Nothing is added when a line is refused."""
    return store.extend(list(read(file, name)))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return record


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
