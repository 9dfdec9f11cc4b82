"""The loops over keys of a query tile, from the sweeps of the schedule."""

from __future__ import annotations

from attngen.emit.cpu.dialect import legalize
from attngen.emit.cpu.names import declared
from attngen.emit.cpu.view import RangeView, SweepView
from attngen.expr.axis import Axis
from attngen.expr.op import Expr, Op
from attngen.expr.printer import Printer
from attngen.expr.simplify import is_const
from attngen.planner.cpu import CpuPlan
from attngen.tiling.schedule import Schedule, Sweep


def sweep_views(schedule: Schedule, scalars: Printer, plan: CpuPlan) -> tuple[SweepView, ...]:
    """``scalars`` prints bounds. In decoding a split takes only the tiles from `begin` to `end`."""
    out: list[SweepView] = []
    for sweep in schedule.sweeps:
        out.append(_sweep(sweep, scalars, plan, sum(len(before.ranges) for before in out)))
    return tuple(out)


def _sweep(sweep: Sweep, scalars: Printer, plan: CpuPlan, before: int) -> SweepView:
    kind = "edge" if sweep.masked else "full"
    lines: list[str] = []
    ranges = []
    for i, interval in enumerate(sweep.intervals, 1):
        suffix = f"_{i}" if len(sweep.intervals) > 1 else ""
        first = _bound(f"{kind}_first{suffix}", interval.lo, scalars, lines)
        last = _bound(f"{kind}_last{suffix}", interval.hi, scalars, lines)
        if plan.decode:
            at = f"from_step({first}, begin, {interval.step})" if interval.step != 1 else f"maximum({first}, begin)"
            first, last = at if first != "0" or interval.step != 1 else "begin", f"minimum({last}, end)"
        together = plan.block_n // plan.grain if interval.step == 1 else 1
        ranges.append(RangeView(before + i - 1, first, last, max(interval.step, together), together))
    return SweepView(sweep.why, declared(lines), tuple(ranges), "true" if sweep.masked else "false")


def _bound(name: str, bound: Expr, scalars: Printer, lines: list[str]) -> str:
    bound = legalize(bound)
    if is_const(bound) or bound.op in (Op.NAMED, Op.LENGTH):
        return scalars.text(bound, Axis.TILE)
    lines += scalars.statements(bound, name, Axis.TILE)
    return name
