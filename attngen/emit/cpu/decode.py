"""The micro-tiles of the decoding kernel: a vector of sums for each (row, key), vectors of columns for the output."""

from __future__ import annotations

from attngen.emit.cpu.view import DecodeRow, DecodeView, Lane, Run, Step, Sum
from attngen.language.definition import HeadDim
from attngen.planner.cpu import CpuPlan


def decode_view(plan: CpuPlan, width: HeadDim, q_rows: int, out_rows: int, *, sink: bool) -> DecodeView:
    """``q_rows`` and ``out_rows``: padded widths of a query and an output."""
    rows, lanes = plan.block_m, plan.lanes
    keys = lanes // rows
    whole = width.qk // lanes * lanes
    return DecodeView(
        split_tiles=max(1, plan.split_keys // plan.block_n),
        prefetch=plan.prefetch,
        keys=tuple(Lane(key, _key(key)) for key in range(keys)),
        rows=tuple(_row(row, rows, keys, q_rows, out_rows) for row in range(rows)),
        tree=_tree(lanes),
        runs=_runs(width.v, lanes, max(1, min(4, 16 // rows))),
        qk_whole=whole,
        qk_rest=width.qk - whole,
        first_sum="exp2_below(no_key - pivot)" if sink else "{}",
    )


def _key(key: int) -> str:
    """Keys beyond the last are those of the last again: read and dropped."""
    at = f"n + {key}" if key else "n"
    return f"({at} < count ? {at} : count - 1)"


def _row(row: int, rows: int, keys: int, q_rows: int, out_rows: int) -> DecodeRow:
    sums = tuple(Sum(key * rows + row, key) for key in range(keys))
    zeros = ", ".join(f"sum{item.i} = {{}}" for item in sums)
    return DecodeRow(row, str(row * q_rows), str(row * out_rows), zeros, sums)


def _tree(lanes: int) -> tuple[Step, ...]:
    steps = []
    distance = lanes // 2
    while distance:
        steps += [Step(distance, i, i + distance) for i in range(distance)]
        distance //= 2
    return tuple(steps)


def _runs(width: int, lanes: int, most: int) -> tuple[Run, ...]:
    """``most`` vectors at a time as long as there are so many, then fewer, then the columns that fill none."""
    out = []
    first = 0
    while first + lanes <= width:
        count = min(most, (width - first) // lanes)
        step = count * lanes
        last = first + (width - first) // step * step
        out.append(Run(first, last, step, 0, tuple(Lane(i, f" + {i} * LANES" if i else "") for i in range(count))))
        first = last
    if first < width:
        out.append(Run(first, width, lanes, width - first, (Lane(0),)))
    return tuple(out)
