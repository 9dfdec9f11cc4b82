"""``attngen.tune``: measure what a variant's plans take at the lengths that matter, and keep what is best."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attngen.errors import SpecError
from attngen.language.spec import AttentionSpec, as_spec
from attngen.pipeline import DEFAULT_DTYPE
from attngen.records.store import Store
from attngen.runtime.native.isa import ANY_CPU, detect
from attngen.targets.cpu import find_cpu
from attngen.targets.load import find_target
from attngen.tune import job as jobs
from attngen.tune.effort import Effort, effort_of
from attngen.tune.gpu import GpuKernels, gpu_of_this_machine
from attngen.tune.kernels import Kernels, Shape
from attngen.tune.measurer import Submit
from attngen.tune.native import NativeKernels
from attngen.tune.result import Result, Tuned
from attngen.tune.sweep import Report, Sweep

Shapes = Sequence[int | tuple[int, int, int]]
"""A length N (batch 1, as many queries as keys), or (batch, queries, keys)."""


def tune(
    spec: AttentionSpec,
    shapes: Shapes = ((1, 4096, 4096),),
    target: str | None = None,
    *,
    dtype: str | None = None,
    effort: str = "quick",
    budget_s: float | None = None,
    executor: Executor | None = None,
    store: Store | Path | str | None = None,
    values: Mapping[str, Any] | None = None,
    progress: Report | None = None,
    static: bool = False,
) -> Tuned:
    """Measure plans of ``spec`` at each shape and store which one is best; `attngen.compile` then takes it.

    A shape is a length, or (batch, queries, keys). ``effort`` is "quick" (seconds) or "full" (minutes);
    ``budget_s`` limits all shapes together. Every turn is a row of the store (a path, a `Store`, or None for the
    user's) as soon as it is made: a sweep that was killed goes on where it was, and measures nothing twice.
    ``values``: parameters and tensors of the spec by name, as a call has them; the others are made up
    (`attngen.sample`). Where a mask depends on tensors, so does the best plan. ``executor``: where jobs run
    (`attngen.tune.job`), instead of processes of this machine. ``static``: for a GPU target and without a GPU,
    rank compiled plans by the model (`attngen.tune.static`); such results never mix with times.

    Native kernels are timed by the CPU time of one thread, Triton kernels by events of the GPU, which must be of the
    architecture of ``target`` (UnsupportedError). Ctrl-C ends with what is known, ``interrupted`` set.
    """
    as_spec(spec)
    chosen, wanted = effort_of(effort), [_shape(one) for one in shapes]
    if not wanted:
        raise SpecError("no shape", place="shapes", remedy="give a length, for example shapes=[4096]")
    if static:
        if find_cpu(target or ANY_CPU):
            raise SpecError(
                "a CPU needs no static ranking", place="static", remedy="leave static out: it is timed here"
            )
        if values:
            raise SpecError(
                "a static ranking knows no values", place="values", remedy="leave them out, or time kernels"
            )
        from attngen.tune.static import tune_static

        with opened(store) as kept:
            results = tune_static(spec, find_target(target or ""), dtype, wanted, chosen, kept, budget_s, progress)
            return Tuned(results, str(kept.path))
    make, count = _measured(spec, target, dtype or spec.dtype or DEFAULT_DTYPE, values)
    done: list[Result] = []
    with opened(store) as kept, submitting(executor, count) as submit:
        for i, shape in enumerate(wanted):
            left = chosen.budget_s if budget_s is None else (budget_s - sum(r.seconds for r in done))
            share = left if budget_s is None else left / (len(wanted) - i)
            with tempfile.TemporaryDirectory(prefix="attngen-tune-", ignore_cleanup_errors=True) as folder:
                kernels = make(shape, Path(folder))
                done.append(sweep(kernels, kept, submit, chosen, str(shape), share, progress))
            if done[-1].interrupted:
                break
        return Tuned(tuple(done), str(kept.path))


def _measured(
    spec: AttentionSpec, target: str | None, dtype: str, values: Mapping[str, Any] | None
) -> tuple[Callable[[Shape, Path], Kernels], int]:
    """What makes the kernels of a shape on this machine, and how many processes run them: one a GPU."""
    if find_cpu(target or ANY_CPU):
        here = detect(target)
        return lambda shape, folder: NativeKernels(spec, here, dtype, shape, folder, values), os.cpu_count() or 1
    name, gpu = gpu_of_this_machine(find_target(target or ""))
    return lambda shape, folder: GpuKernels(spec, gpu, name, dtype, shape, folder, values), 1


def sweep(
    measurer: Any, store: Store, submit: Submit, effort: Effort, shape: str, budget_s: float, report: Report | None
) -> Result:
    """One `Sweep`, under a name of its own."""
    name = secrets.token_hex(6)
    return Sweep(measurer, store, submit, effort, shape=shape, name=name, budget_s=budget_s, report=report).run()


def _shape(given: int | tuple[int, int, int]) -> Shape:
    numbers = (1, given, given) if isinstance(given, int) else tuple(given)
    if len(numbers) != 3 or not all(isinstance(n, int) and 1 <= n < 2**31 for n in numbers):
        raise SpecError(f"{given!r} is no shape", place="shapes", remedy="a length, or (batch, queries, keys)")
    return Shape(*numbers)


@contextmanager
def opened(store: Store | Path | str | None) -> Iterator[Store]:
    """A store that was given open stays open."""
    if isinstance(store, Store):
        yield store
        return
    with Store.open(Path(store) if store is not None else None) as kept:
        yield kept


@contextmanager
def submitting(executor: Executor | None, count: int = 0) -> Iterator[Submit]:
    """How jobs get to ``executor``; without one, to ``count`` processes (0: one for each processor of this machine)."""
    if executor is not None:
        given = executor
        yield lambda job: given.submit(jobs.run, job)
        return
    count = count or os.cpu_count() or 1
    threads = ThreadPoolExecutor(count, thread_name_prefix="attngen-tune")
    processes = jobs.new_processes(count)

    def submit(job: dict[str, Any]) -> Future[dict[str, Any]]:
        return threads.submit(jobs.run_in, processes, job)

    try:
        yield submit
    finally:
        processes.kill()  # what is under way is not waited for
        threads.shutdown(wait=True, cancel_futures=True)
        processes.close()
