"""Rows as columns of the tables, and columns as rows again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from attngen.errors import StoreError
from attngen.records import checked
from attngen.records.row import Configuration, Decision, Measurement, Subject

_SUBJECT = ("spec", "name", "dtype", "target", "device", "batch", "seqlen_q", "seqlen_kv", "kind", "threads")
_CONFIGURATION = ("source", "compiler", "versions", "predicted_us")
_TURN = ("stage", "round", "status", "seconds", "wall", "reason", "error", "load", "sweep", "at")
_VERDICT = ("ratio", "noise", "tried", "failed", "sweep", "at")


def _names(*groups: tuple[str, ...]) -> str:
    return ", ".join(name for group in groups for name in group)


def _marks(count: int) -> str:
    return ", ".join("?" * count)


FIND_SUBJECT = f"SELECT id FROM subjects WHERE {' AND '.join(f'{name} = ?' for name in _SUBJECT)}"
PUT_SUBJECT = f"INSERT INTO subjects ({_names(_SUBJECT, ('loose',))}) VALUES ({_marks(len(_SUBJECT) + 1)})"
PUT_MEASUREMENT = (
    f"INSERT INTO measurements ({_names(('subject', 'strict', 'plan', 'facts'), _CONFIGURATION, _TURN)}) "
    f"VALUES ({_marks(4 + len(_CONFIGURATION) + len(_TURN))}) ON CONFLICT (strict, stage, round) DO NOTHING"
)
PUT_DECISION = (
    f"INSERT OR REPLACE INTO decisions ({_names(('loose', 'subject', 'plan', 'untuned'), _CONFIGURATION, _VERDICT)}) "
    f"VALUES ({_marks(4 + len(_CONFIGURATION) + len(_VERDICT))})"
)
DROP_SUBJECTS = (
    "DELETE FROM subjects WHERE id NOT IN (SELECT subject FROM measurements) "
    "AND id NOT IN (SELECT subject FROM decisions)"
)
_SUBJECTS = ", ".join(f"s.{name} AS s_{name}" for name in _SUBJECT)
GET_SUBJECTS = f"SELECT {_SUBJECTS} FROM subjects s"
GET_MEASUREMENTS = f"SELECT r.*, {_SUBJECTS}, s.loose FROM measurements r JOIN subjects s ON s.id = r.subject"
GET_DECISIONS = f"SELECT r.*, {_SUBJECTS} FROM decisions r JOIN subjects s ON s.id = r.subject"


def subject_fields(subject: Subject) -> dict[str, Any]:
    return {name: getattr(subject, name) for name in _SUBJECT}


def measurement_columns(row: Measurement, subject: int) -> tuple[Any, ...]:
    turn = tuple(getattr(row, name) for name in _TURN)
    return (subject, row.strict, _json(row.configuration.plan), _json(row.facts), *_made(row.configuration), *turn)


def decision_columns(row: Decision, subject: int) -> tuple[Any, ...]:
    verdict = tuple(getattr(row, name) for name in _VERDICT)
    plans = (_json(row.configuration.plan), _json(row.untuned))
    return (row.subject.loose, subject, *plans, *_made(row.configuration), *verdict)


def _made(configuration: Configuration) -> tuple[Any, ...]:
    return tuple(getattr(configuration, name) for name in _CONFIGURATION)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), separators=(",", ":"), allow_nan=False)


def subject_of(row: sqlite3.Row) -> Subject:
    return checked.subject(_subject(row))


def measurement_of(row: sqlite3.Row) -> Measurement:
    record = {name: row[name] for name in _TURN}
    made = {"subject": _subject(row), "configuration": _configuration(row), "facts": _parsed(row, "facts")}
    return checked.measurement({**record, **made}, f"measurement {row['id']}")


def decision_of(row: sqlite3.Row) -> Decision:
    record = {name: row[name] for name in _VERDICT}
    made = {"subject": _subject(row), "configuration": _configuration(row), "untuned": _parsed(row, "untuned")}
    return checked.decision({**record, **made})


def _subject(row: sqlite3.Row) -> dict[str, Any]:
    return {name: row[f"s_{name}"] for name in _SUBJECT}


def _configuration(row: sqlite3.Row) -> dict[str, Any]:
    return {"plan": _parsed(row, "plan"), **{name: row[name] for name in _CONFIGURATION}}


def _parsed(row: sqlite3.Row, name: str) -> object:
    try:
        return json.loads(row[name])
    except (ValueError, TypeError, RecursionError):
        raise StoreError(f"the column `{name}` holds no JSON", place="a row", remedy="move the store away") from None
