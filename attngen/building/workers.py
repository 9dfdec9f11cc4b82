"""A few compiling processes, started when first needed and replaced when the compiler kills them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

WORKERS = 2
LIMIT_S = 600.0
_NOISE = 600  # characters of the compiler's last words


class Workers:
    """``ask`` may be called from several threads; each call has a process to itself while it lasts."""

    def __init__(self, count: int = WORKERS) -> None:
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._scratch = tempfile.TemporaryDirectory(prefix="attngen-build-", ignore_cleanup_errors=True)
        self._started: list[_Process] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The worker's answer; a worker that died or took too long answers with an error."""
        process = self._idle.get()
        try:
            if process is None:
                process = _Process(Path(self._scratch.name))
                self._started.append(process)
            found = process.ask(request)
            if found is None:
                last_words = process.end()
                process = None
                return {"error": f"CompilerDied: {last_words}"}
            return found
        finally:
            self._idle.put(process)

    def close(self) -> None:
        for process in self._started:
            process.end()
        self._scratch.cleanup()


class _Process:
    def __init__(self, scratch: Path) -> None:
        # closed by end(), when its words have been read
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "attngen.building.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=_environment(scratch),
            text=True,
            encoding="utf-8",
        )

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        overdue = threading.Timer(LIMIT_S, self._process.kill)
        overdue.start()
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            overdue.cancel()
        return json.loads(line) if line else None

    def end(self) -> str:
        """Stop the process; what it last said."""
        if self._log.closed:
            return ""
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
        words = self._log.read().strip()[-_NOISE:]
        self._log.close()
        return f"exit code {code}: {words}"


def _environment(scratch: Path) -> dict[str, str]:
    """Ours, without the variables that make Triton interpret, override or skip: they are not part of a job."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRITON_", "MLIR_", "LLVM_"))}
    root = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH", ""))))
    # Triton's own cache would hold every binary a second time
    kept["TRITON_CACHE_DIR"] = str(scratch)
    return kept
