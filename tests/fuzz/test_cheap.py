"""The fixed share of checks without kernels, and that they notice what they are there for."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from attngen.emit import names
from attngen.expr import evaluate
from attngen.expr.op import Op
from attngen.fuzz import cheap, expressions
from attngen.language import spec
from attngen.tiling import enumerate as enumeration

PARTS, CASES = 5, 300


@pytest.mark.parametrize("part", range(PARTS))
def test_cheap_cases(part: int) -> None:
    for index in range(part * CASES, (part + 1) * CASES):
        problems = cheap.check(0, index)
        assert not problems, "\n".join(problems)


def _noticed(name: str, tries: int = 300) -> bool:
    every = list(cheap.CHECKS)
    return any(cheap.check(1, every.index(name) + i * len(every)) for i in range(tries))


def test_a_wrong_precedence_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparisons of comparisons without brackets chain in Python."""
    monkeypatch.setattr(names, "TRITON", dataclasses.replace(names.TRITON, chains=frozenset()))
    assert _noticed("printed")


def test_a_division_towards_zero_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "nonnegative", lambda expr: True)
    assert _noticed("printed")


def test_a_grammar_with_another_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "_STRENGTH", {**expressions._STRENGTH, "|": 3, "&": 1})
    assert _noticed("strings")


def test_a_missed_tile_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = enumeration.tiles

    def one_row_less(*args: Any, **options: Any) -> np.ndarray:
        found = tiles(*args, **options)
        found[-1, :] = 0
        return found

    monkeypatch.setattr(enumeration, "tiles", one_row_less)
    assert _noticed("schedules", 30)


def test_a_wrong_operator_of_a_trace_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(evaluate.RULE, Op.FLOORDIV, lambda a, b: np.trunc(a / b).astype(np.int64))
    assert _noticed("callables")


def test_a_name_in_the_fingerprint_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec, "fingerprint", lambda definition, blocks: f"{definition} {id(definition)}")
    assert _noticed("specs", 5)
