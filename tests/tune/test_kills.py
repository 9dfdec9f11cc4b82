"""Processes that are killed at any moment cost time, never a turn: the same turns are in the store at the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attngen.records.store import Store
from attngen.tune.replay import replay
from tests.tune.kit import ROOT, SWEEP, turns

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
KILLS = 20


def start(store: Path, pause_s: float = 0.05) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.tune.kit", str(SWEEP), str(store), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def workers(parent: int) -> list[int]:
    """The processes that the sweep has started, of whichever thread."""
    found: list[int] = []
    for file in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(store: Path, rows: int) -> int:
    """Until the sweep has come so far, however slow the machine is; how far it then is."""
    found, deadline = 0, time.monotonic() + 60
    while found < rows and time.monotonic() < deadline:
        time.sleep(0.01)
        if store.exists():
            found = len(turns(store))
    return found


def finished(process: subprocess.Popen[str]) -> list[int]:
    """(measured, reused, failed) that a sweep says at its end."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    word, *numbers = out.split()
    assert word == "done"
    return [int(number) for number in numbers]


def test_twenty_kills_in_one_sweep_lose_nothing_and_make_nothing_up(tmp_path: Path) -> None:
    replay(SWEEP, tmp_path / "whole.sqlite")
    whole, store = turns(tmp_path / "whole.sqlite"), tmp_path / "store.sqlite"
    rng, kills, parents = random.Random(5), 0, 0
    process = start(store)
    orphans: list[int] = []
    seen = 0
    while kills < KILLS:
        seen = wait_for(store, seen + rng.randint(0, len(whole) // KILLS))
        time.sleep(rng.uniform(0.0, 0.1))
        assert process.poll() is None, f"the sweep was over after {kills} kills: make its turns longer"
        below = workers(process.pid)
        if kills % 3 == 2 or (below and rng.random() < 0.1):
            orphans += below
            process.kill()
            process.communicate()
            parents, kills, process = parents + 1, kills + 1, start(store)
        elif below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(below), signal.SIGKILL)
                kills += 1
    measured, reused, failed = finished(process)
    assert parents >= KILLS // 4
    assert turns(store) == whole, "the same turns, the same times, and no failure that was a kill"
    assert (measured + reused, failed) == (len(whole), 0)
    assert reused > 0
    with Store.open(store, readonly=True) as opened:
        assert len(opened.decisions()) == 1
    assert not [pid for pid in orphans if alive(pid)], "a worker outlives the parent that was killed"
    again = replay(SWEEP, store)
    assert again.measured == 0


def test_two_sweeps_at_once_measure_every_turn_once(tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    both = [start(store, 0.01) for _ in range(2)]
    counts = [finished(process) for process in both]
    replay(SWEEP, tmp_path / "whole.sqlite")
    whole = turns(tmp_path / "whole.sqlite")
    assert turns(store) == whole
    with Store.open(store, readonly=True) as opened:
        assert len(opened.measurements()) == len(whole) == sum(measured for measured, _, _ in counts)


def test_a_disk_that_fills_up_is_one_screen_and_the_sweep_resumes(tmp_path: Path) -> None:
    import resource

    store = tmp_path / "store.sqlite"
    replay(SWEEP, tmp_path / "whole.sqlite")

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    code = (
        "from attngen.cli import _refuse; from attngen.errors import AttngenError; import sys\n"
        "from attngen.tune.replay import replay\n"
        "try: replay(sys.argv[1], sys.argv[2])\nexcept AttngenError as error: _refuse(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SWEEP), str(store)],
        capture_output=True, text=True, timeout=60, check=False, preexec_fn=small_files,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "way out" in done.stderr
    assert "Traceback" not in done.stderr
    kept = turns(store)
    assert 0 < len(kept) < len(turns(tmp_path / "whole.sqlite"))
    rest = replay(SWEEP, store)
    assert rest.reused == len(kept)
    assert turns(store) == turns(tmp_path / "whole.sqlite")
