"""spec -> graph -> schedule -> plan -> source -> kernel, as one readable paragraph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial

from attngen.emit.cpu.forward import emit_cpu
from attngen.emit.cpu.interface import Interface
from attngen.emit.triton import Origin, emit_triton
from attngen.errors import PlanError, SpecError
from attngen.expr.op import LEAVES, Op, walk
from attngen.expr.simplify import simplify
from attngen.graph.build import build_graph
from attngen.graph.node import AttentionGraph, AttentionOp
from attngen.graph.passes import run_passes
from attngen.language.definition import Definition
from attngen.language.spec import AttentionSpec, as_spec
from attngen.planner.choose import rank_plans
from attngen.planner.cpu import CpuPlan, choose_cpu_plan
from attngen.planner.cpu.grain import has_runs, whole_tiles
from attngen.planner.decode import DECODE_ROWS
from attngen.planner.overrides import checked_overrides
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.planner.ranked import known, rank_counted
from attngen.records.lookup import decisions_for
from attngen.records.row import Decision
from attngen.records.words import settled
from attngen.runtime.launch import Attention
from attngen.runtime.native.machine import processor
from attngen.runtime.native.probed import stored_rates
from attngen.runtime.request import Emitted, Request
from attngen.targets.cpu import CoreRates, find_cpu
from attngen.targets.load import find_target
from attngen.targets.probe import device_name
from attngen.tiling.build import build_schedule
from attngen.tiling.schedule import Schedule

DEFAULT_DTYPE = "bf16"


@dataclass(frozen=True, slots=True)
class Generated:
    """Every stage of one compilation. ``text`` is the standalone source; ``interface`` how C++ is called.

    The text is rendered when it is first asked for: a kernel that is in the store already needs none.
    """

    definition: Definition
    graph: AttentionGraph
    schedule: Schedule
    plan: Plan | CpuPlan
    origin: Origin
    render: Callable[[], str]
    interface: Interface | None = None

    @property
    def text(self) -> str:
        return self.render()

    @property
    def gpu_plan(self) -> Plan:
        """The plan of a Triton kernel, for what exists on GPUs alone."""
        assert isinstance(self.plan, Plan), "a plan for a CPU where one for a GPU is meant"
        return self.plan


def generate(
    spec: AttentionSpec,
    target: str = "h100",
    *,
    dtype: str | None = None,
    plan: Plan | CpuPlan | Mapping[str, int] | None = None,
    seqlen: int | None = None,
    seqlen_q: int | None = None,
    command: str = "",
    rates: CoreRates | None = None,
    remarks: tuple[str, ...] = (),
) -> Generated:
    """Compile ``spec`` for ``target`` (a device, an architecture, or "cpu") up to the source text.

    ``dtype`` overrides the spec's; with neither, bf16 is assumed and the header says so. A `Plan` is
    taken as it is; a mapping fixes some of its fields (`parse_plan_overrides` makes one of a text).
    ``seqlen`` (keys) and ``seqlen_q`` (queries, by default as many) only guide the planner: the kernel
    runs at every length. ``rates``: of a core, for CPUs; nominal ones by default, so that the text is the same
    on every machine. ``remarks`` end the header of a C++ file. Raises PlanError with the arithmetic where
    nothing fits.
    """
    as_spec(spec)
    if not isinstance(command, str):
        raise SpecError(f"a {type(command).__name__} is no text", place="command", remedy="give a string")
    element = dtype or spec.dtype or DEFAULT_DTYPE
    definition = spec.definition
    graph = _graph(definition, element, False)
    if not isinstance(plan, (Plan, CpuPlan)):
        problem = problem_of(spec, dtype, seqlen_q if seqlen_q is not None else seqlen, seqlen)
        cpu = find_cpu(target)
        if cpu:
            plan = choose_cpu_plan(problem, cpu, plan, rates=rates)
        else:
            plan = rank_counted(problem, find_target(target), known(spec, problem), plan)[0]
    if plan.pack > 1:  # the rows of a tile then belong to several heads
        graph = _graph(definition, element, True)
    schedule = _schedule(definition, plan)
    if isinstance(plan, CpuPlan) and plan.grain < plan.block_n and not has_runs(schedule):
        # at these sizes the keys are scattered after all
        plan = whole_tiles(plan)
        schedule = _schedule(definition, plan)
    origin = Origin(
        spec.name,
        spec.doc,
        command or f"attngen generate {spec.name}.toml --target {target}",
        not (dtype or spec.dtype),
        remarks,
    )
    if isinstance(plan, CpuPlan):
        made = emit_cpu(graph, schedule, plan, origin)
        return Generated(definition, graph, schedule, plan, origin, cache(made.render), made.interface)
    render = cache(partial(emit_triton, graph, schedule, plan, origin))
    return Generated(definition, graph, schedule, plan, origin, render)


def _schedule(definition: Definition, plan: Plan | CpuPlan) -> Schedule:
    return build_schedule(
        simplify(definition.mask),
        q_tile=plan.block_q,
        kv_tile=plan.grain,
        row_heads=plan.pack > 1,
        params=definition.params,
    )


def generate_tuned(
    spec: AttentionSpec,
    target: str,
    *,
    dtype: str | None = None,
    seqlen: int | None = None,
    seqlen_q: int | None = None,
    command: str = "",
    rates: CoreRates | None = None,
) -> Generated:
    """`generate` with the plan that `attngen tune` has decided on for this machine, where it has; the plan says so.

    A decision against another untuned plan than today's, or one that does not fit any more, is said and not taken.
    """
    make = partial(generate, spec, target, dtype=dtype, seqlen=seqlen, seqlen_q=seqlen_q, command=command, rates=rates)
    decode, cpu = seqlen_q is not None and seqlen_q <= DECODE_ROWS, find_cpu(target)
    found = decisions(spec, target, dtype, decode=decode)
    if not found:
        return make()
    problem = problem_of(spec, dtype, 1 if decode else None)
    untuned = choose_cpu_plan(problem, cpu, rates=rates) if cpu else rank_plans(problem, find_target(target))[0]
    plan, said, remarks = settled(found, {name: getattr(untuned, name, None) for name in found[0].untuned})
    try:
        made = make(plan=plan, remarks=remarks)
    except PlanError as error:
        said = f"the plan tuned on {found[0].at[:10]} does not fit any more ({error.what}): tune again"
        made = make(remarks=(said,))
    return replace(made, plan=replace(made.plan, reasons=(*made.plan.reasons, said)))


def decisions(spec: AttentionSpec, target: str, dtype: str | None, *, decode: bool) -> tuple[Decision, ...]:
    """What was decided from times on this machine, the decision for kernels of all lengths first."""
    cpu = find_cpu(target)
    element = dtype or spec.dtype or DEFAULT_DTYPE
    if cpu is not None:
        return decisions_for(spec.fingerprint, element, cpu.arch, processor(), decode)
    found = decisions_for(spec.fingerprint, element, find_target(target).arch, None, decode)
    here = device_name() if found else ""  # torch is slow to import: only where there is something to be said
    return tuple(one for one in found if one.subject.device == here)


@lru_cache(maxsize=256)
def _graph(definition: Definition, dtype: str, row_heads: bool) -> AttentionGraph:
    return run_passes(build_graph(definition), row_heads=row_heads, precise=dtype == "fp32")


def problem_of(
    spec: AttentionSpec, dtype: str | None = None, seqlen_q: int | None = None, seqlen_kv: int | None = None
) -> Problem:
    """What the planner has to know: the extra instructions that score and mask cost an element."""
    element = dtype or as_spec(spec).dtype or DEFAULT_DTYPE
    graph = _graph(spec.definition, element, False)
    score, mask = graph.get(AttentionOp.SCORE), graph.get(AttentionOp.MASK)
    assert score is not None and score.expr is not None
    score_ops = [node.op for node in walk(score.expr) if node.op not in LEAVES]
    mask_ops = [node.op for node in walk(mask.expr) if node.op not in LEAVES] if mask is not None and mask.expr else []
    exps = sum(op in (Op.EXP2, Op.LOG, Op.LOG2, Op.SIN, Op.COS, Op.DIV, Op.SQRT, Op.RSQRT) for op in score_ops)
    return Problem(
        definition=graph.definition,
        dtype=element,
        seqlen_q=seqlen_q,
        seqlen_kv=seqlen_kv,
        blocks=spec.blocks,
        tile_ops=max(0, len(score_ops) - 1 - exps),
        has_row_vectors=bool(score.hoisted),
        exp_ops=exps,
        mask_ops=max(2, len(mask_ops)),
    )


def compile(
    spec: AttentionSpec,
    backend: str | None = None,
    target: str | None = None,
    plan: Plan | CpuPlan | Mapping[str, int] | None = None,
) -> Attention:
    """A callable for the variant: ``f(q, k, v, *, return_lse=False, out=None, **params_and_tensors)``."""
    as_spec(spec)
    if target is not None and find_cpu(target) is None:
        find_target(target)
    plan = plan if isinstance(plan, (Plan, CpuPlan)) else checked_overrides(plan)

    def emit(request: Request) -> Emitted:
        seqlen_q, cpu = 1 if request.decode else None, find_cpu(request.target)
        rates = stored_rates(cpu) if cpu else None
        make = generate_tuned if plan is None else partial(generate, plan=plan)
        made = make(spec, request.target, dtype=request.dtype, seqlen_q=seqlen_q, rates=rates)
        return Emitted(made.render, made.plan, made.schedule, made.interface, repr(made.origin))

    return Attention(spec, emit, backend=backend, target=target)
