"""``attngen generate``: a spec becomes a standalone source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attngen.cli.options import AsJson, DtypeName, PlanText, TargetName
from attngen.errors import SpecError


def generate(
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC", help="A spec in TOML.")] = None,
    target: TargetName = "h100",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to stdout.")
    ] = None,
    plan: PlanText = None,
    dtype: DtypeName = None,
    tuned: Annotated[
        bool, typer.Option("--tuned", help="With the plan that `attngen tune` has decided on, and a table of them.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Make the whole gallery: generated/TARGET/EXAMPLE.py of every example.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="With --all: compare, write nothing, exit 1 on a difference.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Emit a kernel that stands alone: Triton for a GPU, C++ for a CPU."""
    if everything:
        if spec is not None:
            raise SpecError("--all takes every example", place=str(spec), remedy="leave SPEC out, or leave --all out")
        from attngen.cli.gallery import check_gallery, write_gallery

        check_gallery() if check else write_gallery()
        return
    if spec is None:
        raise SpecError("no spec given", remedy="attngen generate SPEC.toml, or attngen generate --all")
    if check:
        raise SpecError("--check compares the gallery", remedy="attngen generate --all --check")
    _generate_one(spec, target, output, plan, dtype, tuned, as_json)


def _generate_one(
    path: Path, target: str, output: Path | None, plan: str | None, dtype: str | None, tuned: bool, as_json: bool
) -> None:
    from attngen.cli.options import load_spec, parse_plan
    from attngen.cli.output import check_target_file, console, print_json, write_text

    if output is not None:
        check_target_file(output)
    from attngen import pipeline
    from attngen.targets.cpu import find_cpu

    command = f"attngen generate {path} --target {target}"
    command += f" --dtype {dtype}" if dtype else ""
    command += f" --plan {plan}" if plan else ""
    loaded = load_spec(path)
    if tuned:
        if plan is not None:
            raise SpecError("--tuned chooses the plan", place="--plan", remedy="leave one of them out")
        if not pipeline.decisions(loaded, target, dtype, decode=False):
            here = "cpu" if find_cpu(target) else target
            remedy = f"attngen tune {path} --target {here} (on the machine that is meant), and --dtype as here"
            raise SpecError(f"nothing was tuned for {target}", place="--tuned", remedy=remedy)
        made = pipeline.generate_tuned(loaded, target, dtype=dtype, command=f"{command} --tuned")
    else:
        made = pipeline.generate(loaded, target, dtype=dtype, plan=parse_plan(plan), command=command)
    if output is not None:
        write_text(output, made.text)
    if as_json:
        from dataclasses import asdict

        print_json({"file": str(output) if output else None, "plan": asdict(made.plan), "text": made.text})
    elif output is None:
        typer.echo(made.text, nl=False)
    else:
        lines = made.text.count("\n")
        console(stderr=True).print(f"wrote {output}: {lines} lines for {made.plan.target}")
