"""What an executor runs: one job, plain data in and out. It compiles here, and lets a process of its own do the rest.

A job is a dictionary that a measurer made, with ``do``: "compile", "check" or "time". The answer has the figures, or
``failed`` with what is wrong with the configuration. What is wrong with the machine is raised.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from attngen.errors import CompilerError
from attngen.runtime.cache import default_root, shared_cache
from attngen.runtime.processes import Processes, ProcessLost, inherited

WORKER = "attngen.tune.worker"
LIMIT_S = 20.0
"""For what runs a kernel: a longer turn counts as hanging, unless the job says otherwise."""
_KILLED_TRIES = 4
"""A process that something outside has killed is no fault of the kernel, up to so many times."""


def run(job: Mapping[str, Any]) -> dict[str, Any]:
    """For an executor of any kind: the processes are those of the executor's own process."""
    return run_in(_own(), job)


def run_in(processes: Processes, job: Mapping[str, Any]) -> dict[str, Any]:
    """The job, in one of ``processes`` where it needs one."""
    if job["kind"] == "native":
        try:
            library = _compiled(job)
        except CompilerError as error:
            return {"failed": f"does not compile: {error.what}"}
        if job["do"] == "compile":
            return {"library": library}
        job = {**job, "library": library, "source": ""}
    elif job["kind"] != "gpu" and job["do"] == "compile":
        return {}
    if job["do"] == "time" or job["kind"] == "gpu":  # on a GPU all that runs beside it would be in what is timed
        with one_at_a_time(str(job.get("device", "cpu"))):
            return _ask(processes, job)
    return _ask(processes, job)


def new_processes(count: int) -> Processes:
    """Processes that run kernels: one thread each, and none of the variables that change what is measured."""
    environment = {**inherited(("LD_PRELOAD", "TRITON_INTERPRET")), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return Processes(WORKER, count, environment, LIMIT_S)


@cache
def _own() -> Processes:
    made = new_processes(os.cpu_count() or 1)
    atexit.register(made.close)
    return made


def _compiled(job: Mapping[str, Any]) -> str:
    """The library in the store; its compiler is a process with a deadline already."""
    from attngen.runtime.native.compiler import find_compiler
    from attngen.runtime.native.isa import detect
    from attngen.runtime.native.store import library

    compiler, target = find_compiler(), detect(job["target"])
    return str(library(shared_cache(default_root()), job["source"], compiler, target, job["name"], quiet=True).path)


def _ask(processes: Processes, job: Mapping[str, Any]) -> dict[str, Any]:
    limit_s = float(job.get("limit_s", LIMIT_S))
    for _ in range(_KILLED_TRIES):
        try:
            return processes.ask(job, limit_s)
        except ProcessLost as lost:
            if lost.overdue:
                return {"failed": f"took over {limit_s:g} s"}
            if lost.code != -signal.SIGKILL:
                return {"failed": _ending(lost)}
    return {"failed": f"killed {_KILLED_TRIES} times in a row: signal 9, perhaps for the memory it took"}


def _ending(lost: ProcessLost) -> str:
    words = f": {lost.words.splitlines()[-1]}" if lost.words else ""
    if lost.code >= 0:
        return f"ended its process with {lost.code}{words}"
    with contextlib.suppress(ValueError):
        return f"crashed: {signal.Signals(-lost.code).name} (signal {-lost.code}){words}"
    return f"crashed: signal {-lost.code}{words}"


_threads = threading.Lock()


@contextlib.contextmanager
def one_at_a_time(device: str) -> Iterator[None]:
    """Nothing else is timed on this device meanwhile, by this process or another one of this user.

    The lock is the system's: it goes with its holder, however that ends.
    """
    try:
        import fcntl
    except ImportError:  # no such locks here: threads at least
        with _threads:
            yield
        return
    folder = default_root() / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / f"{Path(device).name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
