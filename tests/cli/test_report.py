"""`attngen report` writes one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.report.kit import Reader, filled


def test_the_command(attngen: Run, tmp_path: Path) -> None:
    store = filled(tmp_path / "records.sqlite")
    done = attngen("report", store, "-o", tmp_path / "out.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert len(Reader((tmp_path / "out.html").read_text()).sections) == 5
    others = {path.name for path in tmp_path.iterdir() if not path.name.startswith("records.sqlite")}
    assert others == {"out.html", "work"}


def test_the_command_refuses(attngen: Run, tmp_path: Path) -> None:
    for arguments in (("none.sqlite",), (tmp_path / "x.sqlite", "-o", tmp_path), ()):
        done = attngen("report", *arguments)
        assert done.returncode == 2
        assert "way out" in done.stderr
        assert "Traceback" not in done.stderr


def test_neither_torch_nor_matplotlib_is_needed(attngen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "triton", "matplotlib", "numpy"):
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    done = attngen("report", filled(tmp_path / "records.sqlite"), "-o", tmp_path / "out.html")
    assert done.returncode == 0, done.stderr
