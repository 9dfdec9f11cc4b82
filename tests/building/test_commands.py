"""``attngen build`` and ``attngen check``, with their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import attngen as ag
from attngen.building import check as checking
from attngen.building.check import TARGETS, Row
from attngen.building.document import document
from attngen.cli.app import app
from attngen.errors import PlanError

CAUSAL = str(Path(__file__).resolve().parents[2] / "examples" / "causal.toml")


def run(*words: str) -> Any:
    return CliRunner().invoke(app, words)


def test_check_and_build_one_pair() -> None:
    done = run("check", CAUSAL, "--target", "h100", "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert (row["example"], row["target"], row["status"]) == ("causal", "h100", "ok")
    assert row["registers"] > 0
    assert [loop["masked"] for loop in row["loops"]] == [False, True]
    # from the store now
    table = run("build", CAUSAL, "-t", "sm_90")
    assert "blocks a multiprocessor" in table.stdout
    assert json.loads(run("build", CAUSAL, "-t", "sm_90", "--json").stdout)["registers"] == row["registers"]
    assert "1 ok, 0 refused, 0 failed" in run("check", CAUSAL, "--target", "sm_90").stdout
    page = run("check", CAUSAL, "-t", "sm_90", "--markdown").stdout
    assert "| sm_90 | causal, 64 |" in page
    assert "| causal | sm_90 | " in page


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PlanError("300 KiB > 227 KiB"), "refused", 0),
        (ag.AttngenError("the compiler died"), "failed", 1),
        (AssertionError("a bug"), "failed", 1),
    ],
)
def test_what_goes_wrong_is_a_row(monkeypatch: pytest.MonkeyPatch, error: Exception, status: str, code: int) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(checking, "build", refuse)
    done = run("check", CAUSAL, "--target", "sm_80,gfx942", "--json")
    assert done.exit_code == code
    rows = json.loads(done.stdout)
    assert [row["target"] for row in rows] == ["sm_80", "gfx942"]
    assert {row["status"] for row in rows} == {status}
    assert str(error) in rows[0]["reason"]


def test_the_usual_targets() -> None:
    wanted = "sm_80 sm_86 sm_89 sm_90 sm_100 sm_103 sm_120 gfx942 gfx950".split()
    assert set(wanted) <= set(TARGETS)


def test_bad_words_are_said_before_anything_is_compiled() -> None:
    assert isinstance(run("check", CAUSAL, "--target", "h1000").exception, ag.AttngenError)
    assert isinstance(run("check").exception, ag.AttngenError)
    assert isinstance(run("check", CAUSAL, "--all").exception, ag.AttngenError)


def test_refusals_have_their_place_on_the_page() -> None:
    page = document([Row("deepseek_mla", "sm_120", "refused", "no plan: 12 > 11")])
    assert "## Refused" in page
    assert "no plan: 12 > 11" in page
    assert "| deepseek_mla | sm_120 | refused |" in page
