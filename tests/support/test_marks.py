"""Pages are written between their marks, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.marks import part, with_part

DOCS = Path(__file__).resolve().parents[2] / "docs"
PARTS = {
    "cost-model.md": ("held out", "sweeps", "peers", "why", "refused"),
    "flexattention.md": ("speed",),
    "plans.md": ("measured",),
    "teeth.md": ("table",),
    "tuning.md": ("ten",),
}


def test_only_the_part_is_replaced() -> None:
    document = "before\n<!-- a -->\nold\n<!-- end of a -->\nafter\n"
    assert with_part("a", document, "new\n") == document.replace("old", "new")
    assert part("a", document) == "old"


@pytest.mark.parametrize(
    "document", ["", "<!-- a -->", "<!-- end of a --><!-- a -->", "<!-- a --><!-- a --><!-- end of a -->"]
)
def test_a_page_without_its_marks_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="the page has one <!-- a -->"):
        with_part("a", document, "new")


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, names in PARTS.items() for name in names])
def test_what_programs_write_has_its_place(page: str, name: str) -> None:
    assert part(name, (DOCS / page).read_text(encoding="utf-8"))
