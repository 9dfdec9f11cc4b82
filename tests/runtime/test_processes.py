"""Processes that answer lines: errors, deadlines, deaths, and that none of them outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attngen.runtime.processes import Processes, ProcessLost, inherited

ROOT = Path(__file__).resolve().parents[2]
WORKER = """
import ctypes, os, time
from attngen.runtime.processes import serve

def answer(request):
    match request["do"]:
        case "pid":
            print("noise", flush=True)
            return {"pid": os.getpid()}
        case "hang":  # as a kernel does: outside of Python, without its lock
            ctypes.CDLL(None).pause()
        case "crash":
            ctypes.string_at(0)
        case "leave":
            os.write(2, b"the last words")
            os._exit(3)
        case "half a line":
            os.write(int(request["fd"]), b'{"half')
            os._exit(0)

serve(answer, end_with_parent=True)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    (tmp_path / "answering.py").write_text(WORKER)
    environment = inherited()
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    return Processes("answering", 2, environment, 20.0)


def test_a_process_is_kept_and_its_noise_is_no_answer(processes: Processes) -> None:
    with processes:
        first, second = (processes.ask({"do": "pid"})["pid"] for _ in range(2))
        assert first == second != os.getpid()
    assert not Path(f"/proc/{first}").exists() or sys.platform != "linux"


@pytest.mark.parametrize(("do", "code", "words"), [("crash", -signal.SIGSEGV, ""), ("leave", 3, "the last words")])
def test_a_process_that_ends_is_replaced(processes: Processes, do: str, code: int, words: str) -> None:
    with processes:
        before = processes.ask({"do": "pid"})["pid"]
        with pytest.raises(ProcessLost) as lost:
            processes.ask({"do": do})
        assert (lost.value.code, lost.value.overdue) == (code, False)
        assert lost.value.words.splitlines() == ["noise", *([words] if words else [])]
        assert processes.ask({"do": "pid"})["pid"] != before


def test_a_deadline_is_kept_and_costs_nobody_else(processes: Processes) -> None:
    with processes:
        processes.ask({"do": "pid"})
        begun = time.monotonic()
        with pytest.raises(ProcessLost) as lost:
            processes.ask({"do": "hang"}, 0.3)
        assert lost.value.overdue
        assert 0.3 <= time.monotonic() - begun < 5
        assert processes.ask({"do": "pid"})["pid"]


def test_one_that_was_killed_while_idle_is_nobodys_fault(processes: Processes) -> None:
    with processes:
        before = processes.ask({"do": "pid"})["pid"]
        os.kill(before, signal.SIGKILL)
        time.sleep(0.2)
        assert processes.ask({"do": "pid"})["pid"] != before


def test_what_hangs_can_be_ended_from_another_thread(processes: Processes) -> None:
    with processes:
        threading.Timer(0.5, processes.kill).start()
        with pytest.raises(ProcessLost) as lost:
            processes.ask({"do": "hang"})
        assert not lost.value.overdue


PARENT = """
import sys, threading
from attngen.runtime.processes import Processes, inherited
import os
environment = inherited()
environment["PYTHONPATH"] = os.pathsep.join([sys.argv[1], environment["PYTHONPATH"]])
processes = Processes("answering", 1, environment, 60.0)
print(processes.ask({"do": "pid"})["pid"], flush=True)
threading.Timer(0.2, lambda: print("asked", flush=True)).start()
processes.ask({"do": "hang"})
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_hanging_process_ends_with_its_parent(processes: Processes, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == "asked\n"
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return  # nobody here to bury it
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
