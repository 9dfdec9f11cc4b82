"""The command line as a person meets it: a process, its two streams and its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def attngen(tmp_path: Path) -> Run:
    """``attngen("targets", "--json")`` in an empty directory, with a cache of its own."""

    def run(*args: str | Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "ATTNGEN_CACHE_DIR": str(tmp_path / "cache"),
            "COLUMNS": "120",
            "NO_COLOR": "1",
        }
        command = [sys.executable, "-m", "attngen", *map(str, args)]
        return subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    return run


@pytest.fixture
def examples() -> Path:
    return ROOT / "examples"
