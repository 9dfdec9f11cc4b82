"""``attngen.build``: compile a variant for any target, read its machine code, and hold it to the gates."""

from __future__ import annotations

import io
import threading
import tokenize
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace

from attngen.building.built import Artifact, Built
from attngen.building.expect import corrected, expectation, with_masks
from attngen.building.job import KERNEL, Compiled, Job, backend_of, triton_version
from attngen.building.search import search
from attngen.building.signature import kernel_signature
from attngen.building.store import BuildStore, reader_stamp
from attngen.building.workers import Workers
from attngen.errors import AttngenError, PlanError
from attngen.language.spec import AttentionSpec, as_spec
from attngen.machine_code.gates import failures
from attngen.machine_code.kernel import Kernel, from_record
from attngen.machine_code.rates import residency, with_rates
from attngen.pipeline import Generated, generate, problem_of
from attngen.planner.choose import rank_plans
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.targets.load import find_target
from attngen.targets.target import Target

_emitting = threading.Lock()
"""Emission is Python only, so threads gain nothing from sharing it; compilation is where they wait side by side."""


class BuildError(AttngenError):
    """The compiler refused an emitted source: a bug in attngen or in Triton. Report it with the text."""


def build(
    spec: AttentionSpec,
    target: str | Target = "h100",
    *,
    dtype: str | None = None,
    plan: Plan | Mapping[str, int] | None = None,
    seqlen_q: int | None = None,
    workers: Workers | None = None,
    store: BuildStore | None = None,
) -> Built:
    """Compile ``spec`` for ``target``, a device or an architecture; no GPU is needed.

    The plans that the planner ranks are tried in turn until one passes every gate; PlanError with the
    arithmetic of each if none does. A mapping fixes some fields of the plan, a `Plan` all of them.
    BuildError where the compiler refuses the source.
    """
    as_spec(spec)
    device = find_target(target)
    store = store or BuildStore()
    problem = problem_of(spec, dtype, seqlen_q)
    ranked = () if isinstance(plan, Plan) else rank_plans(problem, device, plan)
    with _given_or_own(workers) as compilers:
        if isinstance(plan, Plan):
            return _build_plan(spec, device, dtype, plan, problem, compilers, store)
        found, tried = search(
            ranked,
            lambda one: _build_plan(spec, device, dtype, one, problem, compilers, store),
            lambda built: corrected(built, problem),
        )
    if found is not None:
        return replace(found, tried=tried)
    lines = "\n".join(f"  {attempt}" for attempt in tried)
    raise PlanError(
        f"no plan of {spec.name} in {problem.dtype} passes the gates on {device.name} ({device.arch})\n{lines}",
        remedy="a 16-bit dtype, a smaller head dimension, or plan=Plan(...) to build one all the same",
    )


def _build_plan(
    spec: AttentionSpec,
    target: Target,
    dtype: str | None,
    plan: Plan,
    problem: Problem,
    workers: Workers,
    store: BuildStore,
) -> Built:
    with _emitting:
        made = generate(spec, target.name, dtype=dtype, plan=plan)
        job = job_of(made, target)
    compiled, kernel = _compile(job, workers, store)
    expected = expectation(made, problem, target)
    hidden = expected.tile_flops if expected.kind == "tcgen05" else 0
    loops = tuple(
        with_rates(loop, target, plan.num_warps, problem.mma_kind, hidden) for loop in with_masks(kernel.loops, made)
    )
    kernel = replace(kernel, loops=loops)
    artifact = Artifact(
        name=KERNEL,
        binary=compiled.binary,
        registers=kernel.registers,
        spills=kernel.spills,
        spill_bytes=kernel.spill_bytes,
        shared_bytes=compiled.shared_bytes,
        num_warps=compiled.num_warps,
        occupancy=residency(target, kernel.registers, compiled.num_warps, compiled.shared_bytes).blocks,
        instructions=kernel.instructions,
        loops=loops,
        compiled=compiled,
    )
    found = failures(kernel, compiled.shared_bytes, compiled.num_warps, expected, target)
    return Built(plan, target, made.text, {KERNEL: artifact}, found)


def without_header(source: str) -> str:
    """The source with blank lines for its docstring: words about a kernel do not make another kernel."""
    first = next(tokenize.generate_tokens(io.StringIO(source).readline))
    if first.type != tokenize.STRING:
        return source
    end = first.end[0]
    return "\n" * end + "".join(source.splitlines(keepends=True)[end:])


def job_of(made: Generated, target: Target) -> Job:
    return Job(
        source=without_header(made.text),
        kernel=KERNEL,
        arguments=kernel_signature(made),
        constants=(("BLOCK_M", made.gpu_plan.block_m), ("BLOCK_N", made.gpu_plan.block_n)),
        backend=backend_of(target),
        arch=target.arch,
        warp_size=target.warp_size,
        num_warps=made.gpu_plan.num_warps,
        num_stages=made.gpu_plan.num_stages,
        triton=triton_version(),
    )


def _compile(job: Job, workers: Workers, store: BuildStore) -> tuple[Compiled, Kernel]:
    """From the store, or from a worker."""
    digest = job.digest()
    read = f"{digest}.{reader_stamp()}"
    record, facts = store.get(digest), store.get(read)
    if record is None or facts is None:
        answer = workers.ask({"job": asdict(job), "compiled": record})
        if "error" in answer:
            raise BuildError(
                _last_lines(str(answer["error"])),
                place=f"{job.arch}, triton {job.triton}",
                remedy="it is a bug: report it with the output of `attngen generate`",
            )
        if record is None:
            record = answer["compiled"]
            store.put(digest, record)
        facts = answer["kernel"]
        store.put(read, facts)
    return Compiled.from_record(record), from_record(facts)


def _last_lines(text: str) -> str:
    return "\n".join(line[:200] for line in text.splitlines()[-8:])


@contextmanager
def _given_or_own(workers: Workers | None) -> Iterator[Workers]:
    if workers is not None:
        yield workers
        return
    with Workers(1) as own:
        yield own
