"""The store of measurements: one SQLite file that processes share.

A measurement is committed as it is made, in a write-ahead log: a killed process loses nothing that `Store.add`
reported, and leaves the file intact (a machine that loses power may lose the last rows, never the file).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from attngen.errors import StoreError
from attngen.records import columns, opening
from attngen.records.checked import check
from attngen.records.guard import refusal
from attngen.records.row import Decision, Measurement, Subject, moment
from attngen.runtime.cache import default_root

__all__ = ["Store", "StoreError"]


def default_path() -> Path:
    """Where the measurements of this user are."""
    return default_root() / "records.sqlite"


class Store:
    """A context manager. ``set_aside`` tells of a damaged or foreign file that was renamed, else it is empty.

    Threads may share one; processes open their own. A store does not survive a fork: open it in the child.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, set_aside: str = "") -> None:
        self.path = path
        self.set_aside = set_aside
        self._database = database
        self._database.row_factory = sqlite3.Row
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path | None = None, *, readonly: bool = False) -> Store:
        """The store at ``path`` (None: records.sqlite in the cache directory), made if there is none.

        ``readonly`` neither makes, migrates nor sets aside anything. StoreError: it belongs to another user, is of a
        newer version, cannot be read, or (``readonly``) is missing or damaged.
        """
        path = Path(path) if path is not None else default_path()
        try:
            if readonly:
                return cls(path, opening.for_reading(path))
            database, said = opening.for_writing(path)
        except sqlite3.Error as error:
            raise refusal(path, error) from error
        except OSError as error:
            remedy = "name another place: --store PATH or $ATTNGEN_CACHE_DIR"
            raise StoreError(error.strerror or str(error), place=str(path), remedy=remedy) from error
        return cls(path, database, said)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def add(self, measurement: Measurement) -> bool:
        """Keep one turn; it is committed when this returns. False: this strict key has that stage and round already.

        An empty ``at`` becomes the time of now. StoreError: a value that no row may have, a full disk.
        """
        return self.extend([measurement])[0] == 1

    def decide(self, decision: Decision) -> None:
        """Keep a decision in place of the one of the same loose key."""
        check(decision)
        with self._transaction() as database:
            database.execute(columns.PUT_DECISION, columns.decision_columns(decision, self._subject(decision.subject)))

    def extend(self, rows: Iterable[Measurement | Decision]) -> tuple[int, int]:
        """(added, known): all rows in one transaction. A decision that is not newer than the one here is known."""
        added = known = 0
        now = datetime.now(UTC).isoformat(timespec="seconds")
        stamped = [row if row.at else replace(row, at=now) for row in rows]
        for row in stamped:
            check(row)
        with self._transaction() as database:
            for row in stamped:
                subject = self._subject(row.subject)
                if isinstance(row, Measurement):
                    done = database.execute(columns.PUT_MEASUREMENT, columns.measurement_columns(row, subject)).rowcount
                elif done := self._is_newer(row):
                    database.execute(columns.PUT_DECISION, columns.decision_columns(row, subject))
                added, known = added + (done > 0), known + (done <= 0)
        return added, known

    def measurements(
        self, *, subject: Subject | None = None, loose: str | None = None, sweep: str | None = None
    ) -> list[Measurement]:
        """In the order in which they were made; all, or those of a subject, of its class, of a sweep."""
        wanted = {"r.sweep": sweep, "s.loose": loose}
        if subject is not None:
            wanted |= {f"s.{name}": value for name, value in columns.subject_fields(subject).items()}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
        rows = self._read(f"{columns.GET_MEASUREMENTS} WHERE {where} ORDER BY r.id", *wanted.values())
        return [columns.measurement_of(row) for row in rows]

    def decision(self, loose: str) -> Decision | None:
        rows = self._read(f"{columns.GET_DECISIONS} WHERE r.loose = ?", loose)
        return columns.decision_of(rows[0]) if rows else None

    def decisions(self) -> list[Decision]:
        return [columns.decision_of(row) for row in self._read(f"{columns.GET_DECISIONS} ORDER BY s.id")]

    def subjects(self) -> list[Subject]:
        return [columns.subject_of(row) for row in self._read(f"{columns.GET_SUBJECTS} ORDER BY s.id")]

    def prune(self, *, older_than_days: float | None = None, spec: str | None = None) -> int:
        """Delete measurements and decisions that are older and (if both are given) of that fingerprint or name.

        Returns how many rows went. With neither argument nothing goes.
        """
        if older_than_days is None and spec is None:
            return 0
        where, values = ["1"], list[object]()
        if older_than_days is not None:
            where.append("CAST(strftime('%s', at) AS INTEGER) < ?")
            values.append((datetime.now(UTC) - timedelta(days=older_than_days)).timestamp())
        if spec is not None:
            where.append("subject IN (SELECT id FROM subjects WHERE spec = ? OR name = ?)")
            values += [spec, spec]
        with self._transaction() as database:
            gone = sum(
                database.execute(f"DELETE FROM {table} WHERE {' AND '.join(where)}", values).rowcount
                for table in ("measurements", "decisions")
            )
            database.execute(columns.DROP_SUBJECTS)
        return gone

    def _subject(self, subject: Subject) -> int:
        values = tuple(columns.subject_fields(subject).values())
        found = self._database.execute(columns.FIND_SUBJECT, values).fetchone()
        if found:
            return int(found[0])
        return int(self._database.execute(columns.PUT_SUBJECT, (*values, subject.loose)).lastrowid or 0)

    def _is_newer(self, row: Decision) -> bool:
        known = self.decision(row.subject.loose)
        return known is None or moment(row.at) > moment(known.at)

    def _read(self, statement: str, *values: object) -> list[sqlite3.Row]:
        with self._lock, self._refusing():
            return self._database.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._refusing():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            finally:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise refusal(self.path, error) from error
