"""The Jinja environment: strict, no autoescape, and no power beyond substitution and loops."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

_PACKAGE = Path(__file__).resolve().parent.parent


def template_root() -> Path:
    """Where the templates live: inside an installed package, else at the top of the repository."""
    packaged = _PACKAGE / "templates"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "templates"


@cache
def environment(family: str) -> jinja2.Environment:
    """The templates of one family, "triton" or "cpu". An undefined name is an error, never empty text."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_root() / family),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the output is Python, not HTML; texts of users are escaped in `header`
    )
