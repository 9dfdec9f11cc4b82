"""Parts of a page that a program writes, between ``<!-- NAME -->`` and ``<!-- end of NAME -->``."""

from __future__ import annotations

from pathlib import Path


def part(name: str, document: str) -> str:
    """What stands between the marks of ``name``."""
    return _cut(name, document)[1].strip("\n")


def with_part(name: str, document: str, text: str) -> str:
    """The document with ``text`` between them instead. ValueError unless there is one pair."""
    before, _, after = _cut(name, document)
    return f"{before}\n{text.strip()}\n{after}"


def write_part(page: Path, name: str, text: str) -> None:
    page.write_text(with_part(name, page.read_text(encoding="utf-8"), text), encoding="utf-8")


def _cut(name: str, document: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise ValueError(f"the page has one {begin} and after it one {end}")
    before, rest = document.split(begin)
    inside, after = rest.split(end)
    return before + begin, inside, end + after
