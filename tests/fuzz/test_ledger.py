"""The known failures still fail, each for a reason that is written down."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from attngen.fuzz.cases import Case
from attngen.fuzz.kernels import Kernels

LEDGER = Path(__file__).resolve().parents[1] / "ledger.toml"
PASSES = '[[failure]]\nname = "nothing"\nreason = "a test of the ledger"\ncase = \'{"m": 2, "n": 3}\'\n'


def entries(text: str) -> list[dict[str, Any]]:
    return list(tomllib.loads(text).get("failure", []))


def wrong(entry: dict[str, Any]) -> str:
    """Why an entry may not stand in the ledger."""
    if set(entry) != {"name", "reason", "case"} or not str(entry.get("reason", "")).strip():
        return f"{entry.get('name')}: an entry has name, reason and case, and the reason says why"
    if not Kernels().problems(Case.of(json.loads(entry["case"]))):
        return f"{entry['name']} passes now: remove it from tests/ledger.toml"
    return ""


def test_every_known_failure_still_fails() -> None:
    found = [message for entry in entries(LEDGER.read_text()) if (message := wrong(entry))]
    assert not found, "\n".join(found)


def test_an_entry_that_passes_is_loud() -> None:
    assert "passes now" in wrong(entries(PASSES)[0])


@pytest.mark.parametrize("change", ["", 'reason = " "'])
def test_an_entry_without_a_reason_is_refused(change: str) -> None:
    text = PASSES.replace('reason = "a test of the ledger"', change)
    assert "says why" in wrong(entries(text)[0])


def test_an_entry_that_fails_may_stay() -> None:
    case = Case(mask=["vocabulary", "no_such_mask()"])
    assert not wrong({"name": "x", "reason": "y", "case": json.dumps(case.record())})
