"""The micro-tiles of the decoding kernel: a vector of sums for each (row, key), vectors of columns for the output."""

from __future__ import annotations

from collections.abc import Iterator

from attngen.emit.cpu.view import Block, DecodeKey, DecodeView, Lane, OutSum, Run, Step, Sum
from attngen.language.definition import HeadDim
from attngen.planner.cpu import CpuPlan


def decode_view(plan: CpuPlan, width: HeadDim, q_rows: int, out_rows: int, *, sink: bool) -> DecodeView:
    """``q_rows`` and ``out_rows``: padded widths of a query and an output."""
    rows, lanes = plan.block_m, plan.lanes
    # rows that read the values together: as many as leave accumulators for two vectors of columns
    together = min(rows, max(1, plan.micro_d // 2))
    whole = width.qk // lanes * lanes
    return DecodeView(
        split_tiles=max(1, plan.split_keys // plan.block_n),
        prefetch=plan.prefetch,
        keys=tuple(_key(key, rows, q_rows) for key in range(lanes // rows)),
        tree=_tree(lanes),
        runs=tuple(
            run
            for first in range(0, rows, together)
            for run in _runs(plan, range(first, min(first + together, rows)), width.v, out_rows)
        ),
        qk_whole=whole,
        qk_rest=0 if plan.dot else width.qk - whole,
        first_sum="exp2_below(no_key - pivot)" if sink else "{}",
        next_key=", ".join(str((lane + rows) % lanes) for lane in range(lanes)),
    )


def _key(key: int, rows: int, q_rows: int) -> DecodeKey:
    """Keys beyond the last are those of the last again: read and dropped."""
    at = f"n + {key}" if key else "n"
    sums = tuple(Sum(key * rows + row, _summand(row * q_rows)) for row in range(rows))
    zeros = ", ".join(f"sum{item.i} = {{}}" for item in sums)
    return DecodeKey(key, f"{at} < count ? {at} : count - 1", zeros, sums)


def vector_offset(i: int) -> str:
    """Where the i-th vector of a row begins, as a summand."""
    return ("", " + LANES")[i] if i < 2 else f" + {i} * LANES"


def _summand(offset: int) -> str:
    return f" + {offset}" if offset else ""


def _tree(lanes: int) -> tuple[Step, ...]:
    steps = []
    distance = lanes // 2
    while distance:
        steps += [Step(distance, i, i + distance) for i in range(distance)]
        distance //= 2
    return tuple(steps)


def _runs(plan: CpuPlan, rows: range, width: int, out_rows: int) -> Iterator[Run]:
    """As many accumulators at a time as long as there are so many, then fewer, then the columns that fill none."""
    lanes, ahead = plan.lanes, plan.prefetch > 0 and rows.start == 0
    first = 0
    while first + lanes <= width:
        count = max(1, min(plan.micro_d // len(rows), (width - first) // lanes))
        step = count * lanes
        last = first + (width - first) // step * step
        columns = tuple(Lane(i, vector_offset(i)) for i in range(count))
        blocks = tuple(Block(vector_offset(i), i, i + 1) for i in range(0, count - 1, 2))
        yield Run(first, last, step, 0, columns, blocks, tuple(rows), _sums(rows, columns, out_rows), ahead)
        first = last
    if first < width:
        columns = (Lane(0),)
        sums = _sums(rows, columns, out_rows)
        yield Run(first, width, lanes, width - first, columns, (), tuple(rows), sums, ahead)


def _sums(rows: range, columns: tuple[Lane, ...], out_rows: int) -> tuple[OutSum, ...]:
    return tuple(
        OutSum(f"o{row}_{column.i}", row, column.i, f"{_summand(row * out_rows)} + d{column.offset}")
        for row in rows
        for column in columns
    )
