"""What one process does: a chunk of cases, and a failing one made small."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from attngen.fuzz.cases import Case, Range, random_case, range_of
from attngen.fuzz.kernels import Kernels
from attngen.fuzz.script import script
from attngen.fuzz.shrink import shrink

LIMIT_S = 120.0
"""No case takes longer; a kernel that does not end is a failure too."""


@dataclass(frozen=True)
class Failure:
    """``case``: the smallest one found, as a record (None for a cheap check); ``script`` shows it."""

    kind: str
    seed: int
    index: int
    problems: list[str]
    case: dict[str, Any] | None
    script: str


@dataclass(frozen=True)
class Outcome:
    cases: int
    refused: int
    failures: list[Failure]


def chunk(kind: str, seed: int, start: int, count: int, backend: str | None = None) -> Outcome:
    """Cases start to start + count - 1 of a stream."""
    _one_thread()
    indices = range(start, start + count)
    if kind == "cheap":
        return Outcome(count, 0, [found for i in indices if (found := _cheap(seed, i)) is not None])
    kernels, drawn_from = Kernels(backend), range_of(backend)
    failures: list[Failure] = []
    known = (-1, "")
    for index in indices:
        case = random_case(seed, index, drawn_from)
        problems = limited(kernels, case)
        if problems and known == (start_of(index, drawn_from), _kind(problems)):  # the same spec, the same finding
            failures.append(Failure(kind, seed, index, problems, case.record(), ""))
        elif problems:
            known = start_of(index, drawn_from), _kind(problems)
            failures.append(_made_small(seed, index, case, problems, backend))
    return Outcome(count - kernels.refused, kernels.refused, failures)


def limited(kernels: Kernels, case: Case) -> list[str]:
    """The problems of a case, or that it takes too long."""
    try:
        with _alarm(LIMIT_S):
            return kernels.problems(case)
    except TimeoutError:
        return [f"not done after {LIMIT_S:.0f} s"]


def _made_small(seed: int, index: int, case: Case, problems: list[str], backend: str | None) -> Failure:
    kind, alone = _kind(problems), Kernels(backend)

    def fails(other: Case) -> bool:
        return _kind(limited(alone, other)) == kind

    if fails(case):
        case = shrink(case, fails)
        problems = limited(alone, case)
    else:
        problems = [*problems, f"only after the cases before it: {start_of(index, range_of(backend))} to {index}"]
    title = f"attngen fuzz --seed {seed}{f' --backend {backend}' if backend else ''}, case {index}"
    return Failure("kernels", seed, index, problems, case.record(), script(case, title, problems))


def start_of(index: int, drawn_from: Range) -> int:
    """The first case that shares its kernel."""
    return index - index % drawn_from.shapes_a_spec


def _kind(problems: list[str]) -> str:
    """What stays the same while a case shrinks: the kind of the first finding."""
    if not problems:
        return ""
    line = problems[min(1, len(problems) - 1)].strip()
    return line.split(":")[0] if not line.startswith(("out", "lse")) else "wrong"


def _cheap(seed: int, index: int) -> Failure | None:
    from attngen.fuzz import cheap

    problems = cheap.check(seed, index)
    if not problems:
        return None
    call = f"from attngen.fuzz.cheap import check\n\nprint(*check({seed}, {index}), sep='\\n')\n"
    return Failure("cheap", seed, index, problems, None, call)


@cache
def _one_thread() -> None:
    """The tensors are tiny: threads of torch would wait for each other."""
    import torch

    torch.set_num_threads(1)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """TimeoutError in the main thread of a process after that much time of the processor, or ten times as much by
    the clock (a busy machine is no failure, a deadlock is); nothing in other threads."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise TimeoutError

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 10 * seconds)}
    before = {number: signal.signal(number, ring) for number in timers}
    for timer, limit in timers.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
