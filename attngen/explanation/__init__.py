"""What a variant costs at a length, beside full attention, and why its kernel is cut as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from attngen import pipeline
from attngen.errors import SpecError, did_you_mean
from attngen.explanation.against import against_lines, side_of, side_on
from attngen.explanation.cost import Explanation as Explanation
from attngen.explanation.cost import drawn_at, tiles_of
from attngen.explanation.cpu import costs_at, explain_cpu
from attngen.explanation.gpu import explain_gpu
from attngen.explanation.lengths import exactly, lengths_of
from attngen.explanation.text import plan_lines
from attngen.explanation.why import why_cpu, why_lines
from attngen.language.spec import AttentionSpec, as_spec
from attngen.planner.cpu import CpuPlan
from attngen.planner.overrides import CPU_CHOICES, GPU_CHOICES, checked_overrides
from attngen.targets.cpu import find_cpu
from attngen.targets.load import find_target

STAGES = ("graph", "schedule", "plan", "source")


def explain(
    spec: AttentionSpec,
    target: str = "h100",
    seqlen: int | Sequence[int] = 8192,
    stage: str | None = None,
    *,
    dtype: str | None = None,
    plan: Mapping[str, int] | None = None,
    params: Mapping[str, int | float] | None = None,
    measure: bool = False,
    why: Mapping[str, int] | None = None,
    against: Sequence[str] = (),
) -> Explanation:
    """The cost of ``spec`` up to ``seqlen``, its plan and the plan's rivals; or one ``stage`` as it prints itself.

    ``seqlen``: one length is explained with its halves, several exactly as given, with the plan for the longest.
    ``plan`` fixes fields of the plan. Parameters and tensors that the mask reads take the values of
    ``params``, else made-up ones that make sense (`attngen.sample`). ``measure``: on a CPU, run the kernel and
    a probe of the machine as well; the target "cpu" is then this machine's own level of vectors.

    ``why``: fields of another plan, which is set beside the chosen one, or refused with the arithmetic.
    ``against``: other devices, each with the plan that it would get. Both at the longest length.
    """
    if stage is not None and stage not in STAGES:
        raise SpecError(f"`{stage}` is no stage", place="stage", remedy=did_you_mean(stage, STAGES))
    if stage is not None and (why is not None or against):
        raise SpecError(f"`{stage}` prints itself alone", place="stage", remedy="ask for `why` and `against` without")
    as_spec(spec)
    lengths, grows = lengths_of(seqlen), not isinstance(seqlen, int)
    longest = lengths[-1]
    cpu = find_cpu(target)
    if measure and cpu is None:
        raise SpecError(f"nothing is measured on {target}", place="measure", remedy="use the target cpu")
    if measure and grows:
        raise SpecError("several lengths", place="measure", remedy="measure one at a time")
    if measure:
        from attngen.runtime.native.isa import detect

        cpu = detect(target)
        target = cpu.arch
    device = None if cpu else find_target(target)
    why = checked_overrides(why, CPU_CHOICES if cpu else GPU_CHOICES)
    if plan is None and stage in (None, "plan", "source"):
        made = pipeline.generate_tuned(spec, target, dtype=dtype, seqlen=longest)
    else:
        made = pipeline.generate(spec, target, dtype=dtype, plan=plan, seqlen=longest)
    if stage is not None:
        text = {
            "graph": lambda: str(made.graph),
            "schedule": lambda: str(tiles_of(spec, made.plan)),
            "plan": lambda: "\n".join(plan_lines(made.plan)),
            "source": lambda: made.text.rstrip("\n"),
        }[stage]()
        return Explanation(text, spec.name, made.plan.target, made.plan.dtype, longest, stage)
    given = dict(params or {})
    if isinstance(made.plan, CpuPlan):
        assert cpu is not None
        known = explain_cpu(spec, made, cpu, longest, given, plan, measure)
        if grows:
            known = exactly(known, costs_at(spec, made, cpu, lengths, given))
        problem = pipeline.problem_of(spec, dtype, longest, longest)
        known = replace(known, why=why_cpu(why, made.plan, problem, cpu) if why is not None else None)
    else:
        assert device is not None
        known = explain_gpu(spec, made, device, dtype, lengths, given, why, grows=grows)
    if against:
        drawn = drawn_at(spec, longest, given)
        others = (side_on(spec, name, dtype, longest, given, drawn) for name in against)
        known = replace(known, against=(side_of(made.plan, known.costs[-1]), *others))
    return replace(known, text="\n".join((known.text, *_answers(known))))


def _answers(known: Explanation) -> Iterator[str]:
    """What was asked beyond the cost and the plan, after an empty line each."""
    if known.why is not None:
        yield ""
        yield from why_lines(known.why)
    if known.against:
        yield ""
        yield from against_lines(known.against, known.seqlen)
