"""Jobs on the processes of a Ray cluster: ``attngen.tune(..., executor=RayExecutor(4))``. Needs ``attngen[ray]``.

Every actor has processors (or GPUs) to itself, is replaced when it is lost, and its job then goes to another one. The
files of a sweep are not sent: actors on other machines need the same file system, and alike devices, or the times of
one sweep would not be of one device.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from attngen.errors import RuntimeMissingError

_TRIES = 4
"""Actors that one job may lose."""


class _Actor:
    """What runs in the process of an actor. ``environment``: what decides there where things are kept."""

    def __init__(self, environment: dict[str, str]) -> None:
        os.environ.update(environment)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def process(self) -> int:
        return os.getpid()


class RayExecutor(Executor):
    """``count`` actors with ``cpus`` processors and ``gpus`` GPUs each. Ray is started on this machine if it is not.

    RuntimeMissingError where Ray is not installed.
    """

    def __init__(self, count: int = 2, *, cpus: float = 1, gpus: float = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise RuntimeMissingError("ray is not installed", remedy="pip install 'attngen[ray]'") from error
        self._ray: Any = ray
        self._started = not ray.is_initialized()
        if self._started:
            processors = max(count, os.cpu_count() or 1)
            self._ray.init(num_cpus=processors, include_dashboard=False, log_to_driver=False, configure_logging=False)
        self._kept = {name: value for name, value in os.environ.items() if name.startswith("ATTNGEN_") or name == "CXX"}
        self._class: Any = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0)(_Actor)
        self._actors = [self._new() for _ in range(count)]
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Any, Any] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, args=(i,), daemon=True) for i in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """``fn`` of a module, with plain data: both go to another process."""
        if kwargs:
            raise TypeError("jobs take positional arguments")
        future: Future[Any] = Future()
        self._jobs.put((future, fn, args))
        return future

    def _new(self) -> Any:
        return self._class.remote(self._kept)

    def processes(self) -> list[int]:
        """Process ids of the actors."""
        return list(self._ray.get([actor.process.remote() for actor in self._actors]))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if cancel_futures:
            while not self._jobs.empty():
                left = self._jobs.get()
                if left is not None:
                    left[0].cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads if wait else ():
            thread.join()
        for actor in self._actors:
            self._ray.kill(actor)
        if self._started:
            self._ray.shutdown()

    def _serve(self, index: int) -> None:
        """One thread an actor: it waits for the answer, and replaces the actor if there is none."""
        while (job := self._jobs.get()) is not None:
            future, function, arguments = job
            if not future.set_running_or_notify_cancel():
                continue
            for left in reversed(range(_TRIES)):
                try:
                    future.set_result(self._ray.get(self._actors[index].call.remote(function, *arguments)))
                    break
                except self._ray.exceptions.RayActorError as error:
                    self._actors[index] = self._new()
                    if not left:
                        future.set_exception(error)
                except BaseException as error:
                    future.set_exception(error)
                    break
