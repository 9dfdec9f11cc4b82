"""The public names: all there, each from one home, and seen by type checkers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import attngen

SOURCE = Path(attngen.__file__).read_text()


@pytest.mark.parametrize("name", attngen.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(attngen, name) is not None


def test_names_lead_to_the_same_homes_for_people_and_type_checkers() -> None:
    guarded = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == attngen._HOME_OF
    assert set(seen) | {"__version__"} == set(attngen.__all__)


def test_the_language_is_public_as_a_whole() -> None:
    from attngen.language.vocabulary import MASKS, SCORES

    assert {*MASKS, *SCORES} <= set(attngen.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'casual'"):
        _ = attngen.casual
