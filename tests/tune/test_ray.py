"""A sweep over Ray actors, one of which is killed in the middle of it."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from attngen.errors import RuntimeMissingError
from attngen.tune.ray_executor import RayExecutor
from attngen.tune.replay import replay
from tests.tune.kit import SWEEP, turns

HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_without_ray_the_error_says_how_to_get_it() -> None:
    with pytest.raises(RuntimeMissingError, match=r"attngen\[ray\]"):
        RayExecutor()


@pytest.mark.skipif(not HAS_RAY, reason="NOT TESTED: ray is not installed, pip install 'attngen[ray]'")
def test_an_actor_that_is_killed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", "")))))
    replay(SWEEP, tmp_path / "whole.sqlite")
    with RayExecutor(2) as executor:
        before = executor.processes()
        killed = threading.Event()

        def kill() -> None:
            time.sleep(1.0)
            os.kill(before[0], signal.SIGKILL)
            killed.set()

        threading.Thread(target=kill, daemon=True).start()
        result = replay(SWEEP, tmp_path / "store.sqlite", executor=executor, pause_s=0.05)
        assert killed.is_set(), "the sweep was over before the kill: make its turns longer"
        after = executor.processes()
    assert before[0] not in after, "a new actor in its place"
    assert before[1] in after
    assert turns(tmp_path / "store.sqlite") == turns(tmp_path / "whole.sqlite")
    assert result.failed == 0
