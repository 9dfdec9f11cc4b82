"""``attngen build``: compile one spec for one target, and show what its machine code is like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from attngen.cli.options import AsJson, DtypeName, PlanText, SpecPath, TargetName

if TYPE_CHECKING:
    from attngen.building.built import Built


def build(
    spec: SpecPath,
    target: TargetName = "h100",
    plan: PlanText = None,
    dtype: DtypeName = None,
    queries: Annotated[
        int | None, typer.Option("--queries", "-m", min=1, help="Plan for this many queries (1: decoding).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compile for any GPU, without one, and read registers, spills and loops from the machine code."""
    from attngen.building.build import build as build_spec
    from attngen.cli.options import load_spec, parse_plan

    built = build_spec(load_spec(spec), target, dtype=dtype, plan=parse_plan(plan), seqlen_q=queries)
    if as_json:
        from attngen.building.check import Row
        from attngen.cli.output import print_json

        print_json(Row(spec.stem, target, "ok", "", built).record() | {"tried": [str(item) for item in built.tried]})
        return
    _print(built)


def _print(built: Built) -> None:
    from rich.table import Table

    from attngen.cli.output import console

    out = console()
    plan, kernel = built.plan, built.forward
    for attempt in built.tried:
        out.print(f"[yellow]not[/] {attempt}", markup=True)
    out.print(f"{built.target.name} ({built.target.arch}): {plan.reasons[0] if plan.reasons else ''}")
    spills = f"{kernel.spills} spill instructions" if kernel.spills else "no spills"
    out.print(
        f"{kernel.name}: {kernel.registers} registers a thread, {spills}, {kernel.shared_bytes} B shared memory, "
        f"{kernel.num_warps} warps, {kernel.occupancy} blocks a multiprocessor, {kernel.instructions} instructions"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("loop at line", "tiles", "slots", "MFLOP", "slots/kFLOP", "limit", "spills", "copies", "waits"):
        table.add_column(heading, justify="left" if heading in ("tiles", "limit") else "right", no_wrap=True)
    for loop in kernel.loops:
        table.add_row(
            str(loop.line),
            {True: "masked", False: "full", None: "-"}[loop.masked],
            str(loop.slots),
            f"{loop.flops / 1e6:.2f}",
            f"{loop.slots_per_kflop:.3f}" if loop.slots_per_kflop else "-",
            loop.cycles[0][0] if loop.cycles else "-",
            str(loop.spills),
            str(loop.async_copies),
            str(loop.waits),
        )
    out.print(table)
    for loop in kernel.loops:
        cycles = ", ".join(f"{name} {number:.0f}" for name, number in loop.cycles if number)
        out.print(f"line {loop.line}: cycles a pass: {cycles}\n  order: {loop.order}")
