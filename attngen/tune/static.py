"""Tuning without the GPU: plans are compiled, their machine code is read, and the model ranks what it then knows.

The results are predictions. They are kept as kind "static", never stand beside times, and `attngen.compile` does not
take them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import attngen
from attngen.building.build import build
from attngen.building.built import Built
from attngen.building.expect import corrected
from attngen.building.job import triton_version
from attngen.building.workers import Workers
from attngen.errors import AttngenError
from attngen.language.spec import AttentionSpec
from attngen.pipeline import DEFAULT_DTYPE, problem_of
from attngen.planner.decode import DECODE_ROWS
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.records.row import Configuration, Decision, Measurement, Subject
from attngen.records.store import Store
from attngen.targets.target import Target
from attngen.tune.effort import Effort
from attngen.tune.kernels import Shape
from attngen.tune.measure import now
from attngen.tune.result import Progress, Result
from attngen.tune.space import GPU_FIELDS, gpu_space
from attngen.tune.sweep import Report

MOST = {"quick": 6, "full": 24}
"""Plans that are compiled, the best ranked first."""


def tune_static(
    spec: AttentionSpec,
    target: Target,
    dtype: str | None,
    shapes: Sequence[Shape],
    effort: Effort,
    store: Store,
    budget_s: float | None,
    report: Report | None,
) -> tuple[Result, ...]:
    """A result a shape: the plan with the least time predicted from its compiled kernel, among those without spills."""
    until = time.monotonic() + (budget_s if budget_s is not None else float("inf"))
    with Workers(max(1, os.cpu_count() or 1)) as workers:
        return tuple(_one(spec, target, dtype, shape, effort, store, until, report, workers) for shape in shapes)


def _one(
    spec: AttentionSpec,
    target: Target,
    dtype: str | None,
    shape: Shape,
    effort: Effort,
    store: Store,
    until: float,
    report: Report | None,
    workers: Workers,
) -> Result:
    begun, sweep = time.monotonic(), secrets.token_hex(6)
    decode = shape.queries <= DECODE_ROWS
    problem = problem_of(spec, dtype, shape.queries if decode else None, shape.keys)
    space, plans = gpu_space(problem, target)
    subject = Subject(
        spec.fingerprint, spec.name, dtype or spec.dtype or DEFAULT_DTYPE, target.arch, "",
        shape.batch, shape.queries, shape.keys, kind="static",
    )  # fmt: skip
    known = {row.strict: row for row in store.measurements(subject=subject)}
    rows: list[tuple[Measurement, Plan]] = []
    measured = reused = 0
    chosen = [plans[choice] for choice in space.ordered[: MOST[effort.name]]]
    for row, plan in _rows(spec, target, dtype, chosen, problem, subject, sweep, until, workers):
        rows.append((known.get(row.strict, row), plan))
        added = store.add(row)
        measured, reused = measured + added, reused + (not added)
        if report is not None:
            best = min(rows, key=_order)
            report(
                Progress(str(shape), "static", len(rows), len(chosen), _fields(best[1]), 1.0, until - time.monotonic())
            )
    failures = tuple((row.configuration.plan, row.reason) for row, _ in rows if row.status == "failed")
    untuned, first = rows[0][0], min(rows, key=_order)[0]
    ratio = untuned.seconds / first.seconds if first.seconds and untuned.status == "measured" else 1.0
    if first.status == "measured":
        store.decide(
            Decision(
                subject,
                first.configuration,
                untuned.configuration.plan,
                ratio,
                0.0,
                len(rows),
                len(failures),
                sweep,
                now(),
            )
        )
    return Result(
        shape=str(shape),
        best=first.configuration.plan,
        untuned=untuned.configuration.plan,
        ratio=ratio,
        noise=0.0,
        measured=measured,
        reused=reused,
        failed=len(failures),
        tried=len(rows),
        space=len(space),
        seconds=time.monotonic() - begun,
        kind="static",
        failures=failures,
        note="predicted from compiled kernels, not timed: `attngen.compile` does not take it",
    )


def _rows(
    spec: AttentionSpec,
    target: Target,
    dtype: str | None,
    plans: Sequence[Plan],
    problem: Problem,
    subject: Subject,
    sweep: str,
    until: float,
    workers: Workers,
) -> Iterator[tuple[Measurement, Plan]]:
    """Compiled side by side, in the order of the rank; what is begun late is left out, the first plan never."""

    def make(plan: Plan) -> Built | AttngenError | None:
        if plan is not plans[0] and time.monotonic() > until:
            return None
        try:
            return build(spec, target, dtype=dtype, plan=plan, workers=workers)
        except AttngenError as error:
            return error

    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as threads:
        for plan, built in zip(plans, threads.map(make, plans), strict=True):
            if built is not None:
                yield _row(plan, built, problem, subject, sweep), plan


def _row(plan: Plan, built: Built | AttngenError, problem: Problem, subject: Subject, sweep: str) -> Measurement:
    text = built.source if isinstance(built, Built) else repr(plan)
    made = Configuration(
        plan=_fields(plan),
        source=hashlib.sha256(text.encode()).hexdigest(),
        compiler=f"triton {triton_version()}",
        versions=f"attngen {attngen.__version__}",
        predicted_us=plan.predicted_us,
    )
    if isinstance(built, AttngenError):
        return Measurement(subject, made, "static", 0, "failed", 0.0, 0.0, reason=built.what, sweep=sweep, at=now())
    spills = [failure for failure in built.failures if failure.gate != "occupancy"]
    seconds = corrected(built, problem).plan.predicted_us * 1e-6
    facts = {
        "registers": built.forward.registers,
        "spills": built.forward.spills,
        "shared_bytes": built.forward.shared_bytes,
        "occupancy": built.forward.occupancy,
        "instructions": built.forward.instructions,
        "descriptors": int(plan.descriptors),
    }
    return Measurement(
        subject, made, "static", 0, "failed" if spills else "measured", seconds, seconds,
        reason="; ".join(map(str, spills)), facts=facts, sweep=sweep, at=now(),
    )  # fmt: skip


def _order(row: tuple[Measurement, Plan]) -> tuple[bool, float]:
    return row[0].status == "failed", row[0].seconds


def _fields(plan: Plan) -> dict[str, int]:
    return {name: getattr(plan, name) for name in GPU_FIELDS}
