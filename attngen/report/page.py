"""The report: one HTML file that stands alone. No script, no network, no drawing library.

All values are escaped by the template engine; names of specs, reasons and versions come from files of others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from attngen import __version__
from attngen.emit.environment import template_root
from attngen.records.row import Measurement, Subject
from attngen.records.store import Store
from attngen.report.section import Section, section


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    made: str
    sections: tuple[Section, ...]


def report(store: Store, *, made: datetime | None = None) -> str:
    """The HTML of everything that a store holds. ``made`` is printed; None is now."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_root() / "report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(page=view(store, made or datetime.now(UTC)))


def view(store: Store, made: datetime) -> Page:
    """All that the template sees: subjects with a decision first."""
    rows: defaultdict[Subject, list[Measurement]] = defaultdict(list)
    for row in store.measurements():
        rows[row.subject].append(row)
    decisions = {one.subject: one for one in store.decisions()}
    subjects = sorted((one for one in store.subjects() if rows[one]), key=lambda one: one not in decisions)
    sections = (section(n, one, rows[one], decisions.get(one)) for n, one in enumerate(subjects, 1))
    when = f"{made:%Y-%m-%d %H:%M} UTC by attngen {__version__}"
    return Page(f"Tuning: {store.path.name}", when, tuple(sections))
