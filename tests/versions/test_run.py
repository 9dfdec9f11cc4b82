"""The table of ``make versions`` is green for what passed, and for nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from attngen.runtime.interpreter import TESTED
from tests.versions import run as versions

REPORT = '<testsuites><testsuite tests="{0}" failures="{1}" errors="{2}" skipped="{3}"/></testsuites>'


@pytest.mark.parametrize(
    ("numbers", "code", "ok", "text"),
    [
        ((9, 0, 0, 0), 0, True, "9 passed"),
        ((9, 0, 0, 2), 0, True, "7 passed, 2 skipped"),
        ((9, 2, 1, 0), 1, False, "6 passed, 3 failed"),
        ((9, 0, 0, 9), 0, False, "0 passed, 9 skipped"),
        ((0, 0, 0, 0), 5, False, "0 passed"),
        ((9, 0, 0, 0), 3, False, "9 passed"),
    ],
)
def test_reports(numbers: tuple[int, ...], code: int, ok: bool, text: str) -> None:
    cell = versions.counted(REPORT.format(*numbers), code, "")
    assert (cell.ok, cell.text) == (ok, text)


def test_a_run_without_a_report_failed() -> None:
    assert not versions.counted("", 0, "").ok


def test_builds() -> None:
    def rows(*states: str) -> str:
        return "noise\n" + json.dumps([{"example": "e", "target": "t", "status": s, "reason": "r"} for s in states])

    assert versions.judged(rows("ok", "refused"), 0).ok
    assert not versions.judged(rows("ok", "failed"), 1).ok
    assert "e t: r" in versions.judged(rows("ok", "failed"), 1).output
    assert not versions.judged(rows("refused"), 0).ok
    assert not versions.judged("Traceback", 1).ok


def test_every_version_that_the_interpreter_is_repaired_for_is_tried() -> None:
    assert [tuple(map(int, version.split(".")[:2])) for version in versions.VERSIONS] == list(TESTED)


def test_the_core_is_there() -> None:
    for arguments in versions.CORE.values():
        assert all((versions.ROOT / path).exists() for path in arguments if path.startswith("tests/"))
    for name in versions.CHECKED:
        assert (versions.ROOT / "examples" / f"{name}.toml").exists()


class Commands:
    """Stands for the installer and for what it installed."""

    def __init__(self, failing: str, version: str = "3.8.0") -> None:
        self.failing, self.version, self.seen = failing, version, list[str]()

    def __call__(self, command: Any, **environment: str) -> subprocess.CompletedProcess[str]:
        text = " ".join(map(str, command))
        self.seen.append(text)
        if self.failing in text:
            return subprocess.CompletedProcess(command, 1, "ERROR: No matching distribution found for triton==3.8.0")
        if "--junitxml" in text:
            report = next(str(word).partition("=")[2] for word in command if str(word).startswith("--junitxml"))
            Path(report).write_text(REPORT.format(4, 0, 0, 0), encoding="utf-8")
        if "venv" in text:
            Path(command[-1]).mkdir(parents=True)
        answer = '[{"status": "ok"}]' if " check " in text else f"{self.version} 2.13.0 2.4"
        return subprocess.CompletedProcess(command, 0, answer)


def try_with(commands: Commands, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[versions.Row, int]:
    monkeypatch.setattr(versions, "run", commands)
    monkeypatch.setattr(versions, "FOLDER", folder)
    return versions.try_version("3.8.0"), versions.main(["3.8.0"])


def test_a_version_that_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands("nothing fails")
    row, code = try_with(commands, tmp_path, monkeypatch)
    assert row.ok
    assert set(row.cells) == {*versions.CORE, "builds"}
    assert code == 0
    assert sum("venv" in text for text in commands.seen) == 1, "an environment is kept between runs"


@pytest.mark.parametrize("failing", ["triton==", "tests/runtime", "attngen check"])
def test_a_version_that_does_not(failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, code = try_with(Commands(failing), tmp_path, monkeypatch)
    assert not row.ok
    assert code == 1
    if failing == "triton==":
        assert row.installed.text == "triton 3.8.0 is not on the package index"
        assert not row.cells


def test_another_triton_than_asked_for_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, code = try_with(Commands("nothing fails", "3.7.1"), tmp_path, monkeypatch)
    assert "3.7.1" in row.installed.text
    assert (row.ok, code) == (False, 1)
