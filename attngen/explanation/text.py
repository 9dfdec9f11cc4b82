"""How explanations print: tables, times, and the head that says what is explained."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attngen.expr.build import TRUE
from attngen.planner.cpu import CpuPlan
from attngen.planner.plan import Plan

if TYPE_CHECKING:
    from attngen.explanation.cost import Cost
    from attngen.language.spec import AttentionSpec


def head(spec: AttentionSpec, dtype: str, target: str, arch: str) -> Iterator[str]:
    """Who, on what, with which mask; an empty line ends it."""
    heads, dim = spec.definition.heads, spec.definition.head_dim
    width = f"{dim.qk}" if dim.qk == dim.v else f"{dim.qk} (values {dim.v})"
    yield f"{spec.name} in {dtype} on {target} ({arch})"
    if spec.doc:
        yield f"  {spec.doc}"
    yield f"  heads  {heads.q} query, {heads.kv} key/value; head dimension {width}"
    if spec.definition.mask is not TRUE:
        yield f"  mask   {_mask_text(spec)}"
    yield ""


def _mask_text(spec: AttentionSpec) -> str:
    """As the user wrote it, where there is a text; at most a line."""
    text = spec.mask if isinstance(spec.mask, str) else getattr(spec.mask, "text", None)
    return textwrap.shorten(text or str(spec.definition.mask), 110, placeholder=" ...")


def time_text(us: float) -> str:
    return f"{us:.1f} us" if us < 1e3 else f"{us / 1e3:.2f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"


def counts_heading(flops: str) -> tuple[str, ...]:
    return "length", "tiles visited", "of all", "masked", flops, "MB", "time"


def counts_row(cost: Cost, unit: float) -> tuple[str, ...]:
    """What is counted and predicted at one length, on any target: the columns of `counts_heading`."""
    return (
        f"{cost.seqlen:,}",
        f"{cost.tiles:,} ({cost.tiles_of_full_attention:,})",
        f"{100 * cost.share:.1f} %",
        f"{100 * cost.tiles_masked / max(1, cost.tiles):.1f} %",
        f"{cost.flops / unit:.3g} ({cost.flops_of_full_attention / unit:.3g})",
        f"{cost.bytes / 1e6:.1f}",
        f"{time_text(cost.us)} ({time_text(cost.us_of_full_attention)})",
    )


def plan_lines(plan: Plan | CpuPlan) -> Iterator[str]:
    yield f"Plan for {plan.target} in {plan.dtype}"
    yield from (f"  {reason}" for reason in plan.reasons)


def table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns aligned to the right."""
    widths = [max(len(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    for row in [heading, *rows]:
        yield ("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))).rstrip()


def sides(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """As `table`, with what the rows are called on the left."""
    width = max(len(row[0]) for row in rows)
    yield from table((heading[0].ljust(width), *heading[1:]), [(row[0].ljust(width), *row[1:]) for row in rows])


def cell_text(value: int | float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
