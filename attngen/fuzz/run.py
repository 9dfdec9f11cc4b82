"""Fuzzing as work: chunks of both streams over several processes, a state that a later run goes on from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from attngen.fuzz.work import Failure, Outcome, chunk

KINDS = ("kernels", "cheap")
CHUNK = {"kernels": 60, "cheap": 300}


@dataclass
class State:
    """What a stream of one seed has behind it. ``starts``: where its finished chunks begin."""

    seed: int
    starts: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    cases: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    refused: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, kind: str, start: int, outcome: Outcome) -> None:
        self.starts[kind].append(start)
        self.cases[kind] += outcome.cases
        self.refused += outcome.refused
        self.failures += outcome.failures

    def todo(self, kind: str, cases: int | None) -> Iterator[tuple[str, int, int]]:
        """(kind, first index, count) of what is left of the first ``cases``, or for ever."""
        done, size, start = set(self.starts[kind]), CHUNK[kind], 0
        while cases is None or start < cases:
            count = size if cases is None else min(size, cases - start)
            if start not in done:
                yield kind, start, count
            start += size

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(asdict(self)))
        part.replace(path)

    @classmethod
    def load(cls, path: Path, seed: int) -> State:
        """The state in the file; a new one where it is absent or damaged."""
        try:
            record = json.loads(path.read_text())
            failures = [Failure(**one) for one in record.pop("failures")]
            state = cls(**record, failures=failures)
            return state if state.seed == seed else cls(seed)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls(seed)


def state_path(seed: int, generator: str, backend: str | None = None) -> Path:
    """In the cache directory. ``generator``: a hash of attngen's own files, as other code makes other cases."""
    from attngen.runtime.cache import default_root

    return default_root() / "fuzz" / f"{seed}-{generator}{f'-{backend}' if backend else ''}.json"


def run(
    state: State,
    kinds: Sequence[str],
    *,
    cases: int | None,
    seconds: float | None,
    jobs: int,
    backend: str | None = None,
    report: Callable[[State], None] = lambda state: None,
) -> None:
    """Work on ``state`` until ``cases`` of each kind are done or the time is over. ``report`` hears of each chunk."""
    end = None if seconds is None else time.monotonic() + seconds
    # case by case the same, whoever runs it: children start afresh and import triton after this
    os.environ["TRITON_INTERPRET"] = "1"
    work = _alternate([state.todo(kind, cases) for kind in kinds])
    pool = _pool(jobs)
    running: dict[Future[Outcome], tuple[str, int]] = {}
    try:
        while True:
            in_time = end is None or time.monotonic() < end
            while in_time and len(running) < jobs and (piece := next(work, None)) is not None:
                kind, start, count = piece
                running[pool.submit(chunk, kind, state.seed, start, count, backend)] = kind, start
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                kind, start = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    outcome = Outcome(0, 0, [Failure(kind, state.seed, start, ["the process died"], None, "")])
                    for other_kind, other in running.values():  # lost with the pool, and not known to be at fault
                        work = _chain([(other_kind, other, CHUNK[other_kind])], work)
                    running, pool = {}, _pool(jobs)
                state.add(kind, start, outcome)
                report(state)
                if not running:
                    break
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(jobs: int) -> ProcessPoolExecutor:
    # every kernel stays loaded in its process: a process ends after some thousand
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), max_tasks_per_child=50)


def _alternate(streams: list[Iterator[tuple[str, int, int]]]) -> Iterator[tuple[str, int, int]]:
    while streams:
        for stream in list(streams):
            piece = next(stream, None)
            if piece is None:
                streams.remove(stream)
            else:
                yield piece


def _chain(first: list[tuple[str, int, int]], rest: Iterator[tuple[str, int, int]]) -> Iterator[tuple[str, int, int]]:
    yield from first
    yield from rest


def write_scripts(failures: Sequence[Failure], folder: Path) -> list[Path]:
    """One file a failure that has a script."""
    paths = []
    for failure in failures:
        if failure.script:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{failure.kind}_{failure.seed}_{failure.index}.py"
            path.write_text(failure.script, encoding="utf-8")
            paths.append(path)
    return paths


def document(state: State, seconds: float, scripts: Sequence[Path]) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "seed": state.seed,
        "cases": dict(state.cases),
        "refused": state.refused,
        "seconds": round(seconds, 1),
        "failures": [
            {"kind": one.kind, "index": one.index, "problems": one.problems, "case": one.case} for one in state.failures
        ],
        "scripts": [str(path) for path in scripts],
    }
