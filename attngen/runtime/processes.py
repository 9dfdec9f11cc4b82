"""Processes that answer a JSON line with another: started when needed, given a deadline, replaced when lost."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

_NOISE = 600
"""Characters of the last words of a process."""
_PR_SET_PDEATHSIG = 1


class ProcessLost(Exception):
    """A process that ended instead of answering. ``code``: what it ended with, minus the signal where that was one.

    ``overdue``: it was ended here, because its time was over. ``words``: what it last said on stderr.
    """

    def __init__(self, code: int, words: str, overdue: bool) -> None:
        super().__init__(f"exit code {code}: {words}")
        self.code, self.words, self.overdue = code, words, overdue


class Processes:
    """``count`` processes of ``python -m module``. ``ask`` may be called from several threads.

    Each call has a process to itself while it lasts. ``environment`` is all that a process inherits.
    """

    def __init__(self, module: str, count: int, environment: Mapping[str, str], limit_s: float) -> None:
        self._module, self._environment, self._limit_s = module, dict(environment), limit_s
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._started: list[_Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, request: Mapping[str, Any], limit_s: float | None = None) -> dict[str, Any]:
        """The answer. ProcessLost where the process ends, or takes longer than ``limit_s`` seconds."""
        process = self._idle.get()
        try:
            if process is not None and not process.alive:  # somebody ended it while it had nothing to do
                process.end()
                self._started.remove(process)
                process = None
            if process is None:
                process = _Process(self._module, self._environment)
                self._started.append(process)
            answer, overdue = process.ask(request, limit_s or self._limit_s)
            if answer is None:
                lost, process = process, None
                self._started.remove(lost)
                code, words = lost.end()
                raise ProcessLost(code, words, overdue)
            return answer
        finally:
            self._idle.put(process)

    def kill(self) -> None:
        """End what is under way: its callers get ProcessLost."""
        for process in list(self._started):
            process.kill()

    def close(self) -> None:
        for process in list(self._started):
            process.end()


class _Process:
    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        # closed by end(), when its words have been read
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._words = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=dict(environment),
            text=True,
            encoding="utf-8",
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Mapping[str, Any], limit_s: float) -> tuple[dict[str, Any] | None, bool]:
        """(answer or None, whether the time was over)."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        overdue = threading.Timer(limit_s, end)
        overdue.start()
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        except OSError:  # it has closed its ends
            line = ""
        finally:
            overdue.cancel()
        try:
            return (json.loads(line) if line.endswith("\n") else None), late.is_set()
        except ValueError:  # what it wrote into was not its own memory
            return None, late.is_set()

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> tuple[int, str]:
        """Stop the process; its exit code and what it last said."""
        if self._log.closed:
            return self._process.wait(), self._words
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.seek(0)
        self._words = self._log.read().strip()[-_NOISE:]
        self._log.close()
        return code, self._words


def serve(answer: Callable[[Mapping[str, Any]], Mapping[str, Any]], *, end_with_parent: bool = False) -> None:
    """The other side: a request a line on stdin, an answer a line on stdout, until stdin ends.

    What anything else prints to stdout goes to stderr. With ``end_with_parent`` the process ends at once when
    its parent does, even in the middle of a request that would never end.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    if end_with_parent:
        _die_with_parent()
        # a kernel that hangs does not hold the lock of the interpreter, so this thread still sees the end of stdin
        threading.Thread(target=_read, args=(requests,), daemon=True).start()
        lines = iter(requests.get, "")
    else:
        lines = iter(sys.stdin.readline, "")
    for line in lines:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


def _read(requests: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _die_with_parent() -> None:
    """Linux: a signal when the thread that started us is gone, however it ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def inherited(without: tuple[str, ...] = ()) -> dict[str, str]:
    """Our environment, so that a child finds this package. ``without``: beginnings of names that are left out."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    root = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH", ""))))
    return kept
