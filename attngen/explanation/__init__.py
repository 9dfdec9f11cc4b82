"""What a variant costs at a length, beside full attention, and why its kernel is cut as it is."""

from __future__ import annotations

from collections.abc import Mapping

from attngen import pipeline
from attngen.errors import SpecError, did_you_mean
from attngen.explanation.cost import Explanation as Explanation
from attngen.explanation.cost import tiles_of
from attngen.explanation.cpu import explain_cpu
from attngen.explanation.gpu import explain_gpu
from attngen.explanation.text import plan_lines
from attngen.language.spec import AttentionSpec, as_spec
from attngen.targets.cpu import find_cpu
from attngen.targets.load import find_target

STAGES = ("graph", "schedule", "plan", "source")


def explain(
    spec: AttentionSpec,
    target: str = "h100",
    seqlen: int = 8192,
    stage: str | None = None,
    *,
    dtype: str | None = None,
    plan: Mapping[str, int] | None = None,
    params: Mapping[str, int | float] | None = None,
    measure: bool = False,
) -> Explanation:
    """The cost of ``spec`` up to ``seqlen``, its plan and the plan's rivals; or one ``stage`` as it prints itself.

    ``plan`` fixes fields of the plan. Parameters and tensors that the mask reads take the values of
    ``params``, else made-up ones that make sense (`attngen.sample`). ``measure``: on a CPU, run the kernel and
    a probe of the machine as well; the target "cpu" is then this machine's own level of vectors.
    """
    if stage is not None and stage not in STAGES:
        raise SpecError(f"`{stage}` is no stage", place="stage", remedy=did_you_mean(stage, STAGES))
    as_spec(spec)
    cpu = find_cpu(target)
    if measure and cpu is None:
        raise SpecError(f"nothing is measured on {target}", place="measure", remedy="use the target cpu")
    if measure:
        from attngen.runtime.native.isa import detect

        cpu = detect(target)
        target = cpu.arch
    device = None if cpu else find_target(target)
    if plan is None and stage in (None, "plan", "source"):
        made = pipeline.generate_tuned(spec, target, dtype=dtype, seqlen=seqlen)
    else:
        made = pipeline.generate(spec, target, dtype=dtype, plan=plan, seqlen=seqlen)
    if stage is not None:
        text = {
            "graph": lambda: str(made.graph),
            "schedule": lambda: str(tiles_of(spec, made.plan)),
            "plan": lambda: "\n".join(plan_lines(made.plan)),
            "source": lambda: made.text.rstrip("\n"),
        }[stage]()
        return Explanation(text, spec.name, made.plan.target, made.plan.dtype, seqlen, stage)
    given = dict(params or {})
    if cpu is not None:
        return explain_cpu(spec, made, cpu, seqlen, given, plan, measure)
    assert device is not None
    return explain_gpu(spec, made, device, dtype, seqlen, given)
