"""Tests that a deliberate fault asked for, which nothing else noticed (docs/teeth.md)."""

from __future__ import annotations

import pytest

import attngen as ag
from attngen.errors import AttngenError


def test_an_expression_of_too_many_operations_is_refused() -> None:
    """Ten thousand characters hold a few more than the five thousand operations that are taken."""
    text = "kv<q" + "+1" * 4997
    assert len(text) <= 10_000
    with pytest.raises(AttngenError, match="operations"):
        _ = ag.AttentionSpec("long", heads=1, head_dim=16, mask=text).definition
