"""Rows from records that somebody else wrote: lines of JSON, columns of a database.

A row is only made from values of the right type and size, with no key that is not known. The error names the value
and the key; nothing is converted or left out in silence.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from datetime import datetime

from attngen.errors import StoreError, did_you_mean
from attngen.records.row import KINDS, STAGES, STATUSES, Configuration, Decision, Measurement, Subject

_LONGEST_TEXT, _MOST_ENTRIES = 4_000, 200
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_LARGEST = 2**53  # as far as every reader of JSON agrees on integers


class _Reader:
    """The keys of one record, each taken once; `close` refuses those that nobody took."""

    def __init__(self, record: object, place: str) -> None:
        if not isinstance(record, dict):
            raise _refused(f"{_shown(record)} is no record", place, "a JSON object is wanted")
        self._left: dict[str, object] = dict(record)
        self._known = list(record)
        self._place = place

    def take(self, name: str) -> object:
        if name not in self._left:
            raise _refused(f"`{name}` is missing", self._place, "export it anew with this version of attngen")
        return self._left.pop(name)

    def text(self, name: str, *, one_of: tuple[str, ...] = ()) -> str:
        value, place = self.take(name), self._at(name)
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT or "\0" in value or not _encodes(value):
            raise _refused(f"{_shown(value)} is no text", place, f"at most {_LONGEST_TEXT} characters")
        if one_of and value not in one_of:
            raise _refused(f"{_shown(value)} is not known", place, did_you_mean(value, one_of))
        return value

    def whole(self, name: str, least: int) -> int:
        return _whole(self.take(name), least, self._at(name))

    def number(self, name: str, least: float = 0.0) -> float:
        return _number(self.take(name), least, self._at(name))

    def time(self, name: str) -> str:
        text = self.text(name)
        try:
            if not text or (_TIME.fullmatch(text) and datetime.fromisoformat(text)):
                return text
        except ValueError:
            pass
        raise _refused(f"{_shown(text)} is no time", self._at(name), "for example 2026-01-31T12:00:00+00:00")

    def plan(self, name: str) -> dict[str, int]:
        place = self._at(name)
        return {key: _whole(value, 0, f"{place}.{key}") for key, value in self._entries(name)}

    def facts(self, name: str) -> dict[str, float | int | str]:
        place = self._at(name)
        facts: dict[str, float | int | str] = {}
        for key, value in self._entries(name):
            if isinstance(value, str) and len(value) <= _LONGEST_TEXT and "\0" not in value and _encodes(value):
                facts[key] = value
            elif isinstance(value, int) and not isinstance(value, bool):
                facts[key] = _whole(value, -_LARGEST, f"{place}.{key}")
            else:
                facts[key] = _number(value, -math.inf, f"{place}.{key}")
        return facts

    def close(self) -> None:
        for name in self._left:
            remedy = did_you_mean(name, [key for key in self._known if key not in self._left] or [""])
            raise _refused(f"unknown key {_shown(name)}", self._place, remedy)

    def _at(self, name: str) -> str:
        return f"{self._place}.{name}"

    def _entries(self, name: str) -> list[tuple[str, object]]:
        value, place = self.take(name), self._at(name)
        if not isinstance(value, dict) or len(value) > _MOST_ENTRIES:
            raise _refused(f"{_shown(value)} is no mapping", place, f"at most {_MOST_ENTRIES} names with values")
        for key in value:
            if not isinstance(key, str) or not key.isidentifier() or len(key) > 64:
                raise _refused(f"{_shown(key)} is no name", place, "names are like block_m")
        return sorted(value.items())


def subject(record: object, place: str = "subject") -> Subject:
    """A subject from its fields. StoreError names what is wrong."""
    read = _Reader(record, place)
    made = Subject(
        spec=read.text("spec"),
        name=read.text("name"),
        dtype=read.text("dtype"),
        target=read.text("target"),
        device=read.text("device"),
        batch=read.whole("batch", 1),
        seqlen_q=read.whole("seqlen_q", 1),
        seqlen_kv=read.whole("seqlen_kv", 1),
        kind=read.text("kind", one_of=KINDS),
        threads=read.whole("threads", 1),
    )
    read.close()
    return made


def configuration(record: object, place: str = "configuration") -> Configuration:
    """A configuration from its fields."""
    read = _Reader(record, place)
    made = Configuration(
        plan=read.plan("plan"),
        source=read.text("source"),
        compiler=read.text("compiler"),
        versions=read.text("versions"),
        predicted_us=read.number("predicted_us"),
    )
    read.close()
    return made


def measurement(record: object, place: str = "measurement") -> Measurement:
    """A measurement from its fields; a measured one took some time."""
    read = _Reader(record, place)
    status = read.text("status", one_of=STATUSES)
    made = Measurement(
        subject=subject(read.take("subject"), f"{place}.subject"),
        configuration=configuration(read.take("configuration"), f"{place}.configuration"),
        stage=read.text("stage", one_of=STAGES),
        round=read.whole("round", 0),
        status=status,
        seconds=read.number("seconds", 1e-12 if status == "measured" else 0.0),
        wall=read.number("wall"),
        reason=read.text("reason"),
        error=read.number("error"),
        load=read.number("load"),
        facts=read.facts("facts"),
        sweep=read.text("sweep"),
        at=read.time("at"),
    )
    read.close()
    return made


def decision(record: object, place: str = "decision") -> Decision:
    """A decision from its fields."""
    read = _Reader(record, place)
    made = Decision(
        subject=subject(read.take("subject"), f"{place}.subject"),
        configuration=configuration(read.take("configuration"), f"{place}.configuration"),
        untuned=read.plan("untuned"),
        ratio=read.number("ratio", 1e-9),
        noise=read.number("noise"),
        tried=read.whole("tried", 0),
        failed=read.whole("failed", 0),
        sweep=read.text("sweep"),
        at=read.time("at"),
    )
    read.close()
    return made


def check(row: Measurement | Decision) -> None:
    """A program's own row is held to the same: what is written can be read."""
    if isinstance(row, Measurement):
        measurement(asdict(row))
    else:
        decision(asdict(row))


def _whole(value: object, least: int, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST:
        raise _refused(f"{_shown(value)} is no whole number of at least {least}", place, "for example 64")
    return value


def _number(value: object, least: float, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300 or not value >= least:
        raise _refused(f"{_shown(value)} is no number of at least {least:g}", place, "for example 0.001")
    return float(value)


def _encodes(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


def _shown(value: object) -> str:
    # a nest may be deeper than Python prints, an integer have more digits
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = "a number of many digits" if isinstance(value, int) and abs(value) > 10**40 else ascii(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."


def _refused(what: str, place: str, remedy: str) -> StoreError:
    return StoreError(what, place=place, remedy=remedy)
