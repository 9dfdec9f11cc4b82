"""``attngen explain``: what a variant costs at a length, and why it is cut as it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from attngen.cli.options import AsJson, DtypeName, PlanText, SpecPath, TargetName, Values


class Stage(StrEnum):
    """A value of the pipeline that can be printed."""

    graph = "graph"
    schedule = "schedule"
    plan = "plan"
    source = "source"


def explain(
    spec: SpecPath,
    target: TargetName = "h100",
    seqlen: Annotated[
        str,
        typer.Option("--seqlen", "-n", metavar="N,...", help="Queries and keys: 8192, 8k, or 1k,8k,128k."),
    ] = "8192",
    stage: Annotated[Stage | None, typer.Option("--stage", help="Print one stage of the pipeline instead.")] = None,
    dtype: DtypeName = None,
    plan: PlanText = None,
    param: Values = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="On a CPU: time the kernel here, and what this machine can do at most.")
    ] = False,
    why: Annotated[
        str | None, typer.Option("--why", metavar="K=V,...", help="Set another plan beside the chosen one: block_m=64.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="T,...", help="Set other devices beside this one: a100,b200,cpu.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Cost by length of full attention and of this mask; tiles, bytes, limits; the plan and its rivals."""
    from attngen.cli.options import load_spec, parse_plan, parse_values
    from attngen.cli.output import print_json
    from attngen.explanation import explain as make
    from attngen.explanation.lengths import parse_lengths

    explanation = make(
        load_spec(spec),
        target,
        parse_lengths(seqlen, "--seqlen"),
        stage=stage.value if stage else None,
        dtype=dtype,
        plan=parse_plan(plan),
        params=parse_values(param),
        measure=measure,
        why=parse_plan(why, "--why"),
        against=[name.strip() for name in against.split(",")] if against is not None else (),
    )
    if as_json:
        print_json(explanation.to_json())
    else:
        typer.echo(explanation.text)
