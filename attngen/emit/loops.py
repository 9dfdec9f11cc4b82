"""The loops over key tiles: a sweep of the schedule as text, with the score and the mask of its tiles."""

from __future__ import annotations

import re
from dataclasses import dataclass

from attngen.emit.view import LoopView
from attngen.expr.axis import Axis
from attngen.expr.build import KV_IDX, make, named, rewrite
from attngen.expr.op import COMPARISONS, Expr, Kind, Op, walk
from attngen.expr.printer import Printer
from attngen.expr.simplify import is_const
from attngen.graph.node import Hoisted, Node
from attngen.tiling.schedule import Schedule, Sweep

IN_N = named("in_n", Kind.BOOL, "column")
"""offs_n < N, which every masked tile computes for its loads."""

COLUMN = named("offs_k", Kind.INT, "column")
"""The columns of a tile, 0 ... BLOCK_N - 1."""

START = named("start", Kind.INT)
"""The first key of a tile."""


def tile_texts(
    score: Node, mask: Node | None, printer: Printer, *, masked: bool, bound_check: bool, inside: bool, inner: Expr
) -> tuple[str, str, str]:
    """(columns, score, keep): the statements of one tile. ``inner``: the score that softmax does not scale itself."""
    columns: dict[str, Hoisted] = {}
    score_lines: list[str] = []
    keep_lines: list[str] = []
    nodes = [score] if mask is None or not masked else [score, mask]
    for node in nodes:
        columns.update({item.name: item for item in node.hoisted if item.axis == "column"})
    column_lines = [line for item in columns.values() for line in printer.statements(item.expr, item.name, Axis.COLUMN)]
    if inner.op is not Op.SCORE:
        score_lines = printer.statements(inner, "s", Axis.BOTH)
        if not any(leaf.op is Op.SCORE for leaf in walk(inner)):  # it may be a number, a row or a column
            score_lines.append("s = s + tl.zeros([BLOCK_M, BLOCK_N], tl.float32)")
    if masked:
        keep_lines = printer.statements(_keep(mask, bound_check, inside), "keep", Axis.BOTH)
    return "\n".join(column_lines), "\n".join(score_lines), "\n".join(keep_lines)


def _keep(mask: Node | None, bound_check: bool, inside: bool) -> Expr:
    if mask is None:
        return IN_N
    assert mask.expr is not None
    keep = rewrite(mask.expr, _inside_the_tile) if inside else mask.expr
    # the mask itself may say already that the key exists
    return make(Op.AND, keep, IN_N) if bound_check else keep


def _inside_the_tile(node: Expr) -> Expr:
    """kv < row -> column of the tile < row - start: one subtraction a row in place of one addition a key."""
    if node.op in COMPARISONS and node.args[0] is KV_IDX and node.args[1].op is Op.NAMED:
        return make(node.op, COLUMN, make(Op.SUB, node.args[1], START))
    return node


@dataclass(frozen=True, slots=True)
class _Loop:
    """The frame of a loop. ``first_key`` and ``last_key`` are known where the tiles follow each other."""

    masked: bool
    why: str
    setup: str
    header: str
    start: str = ""
    first_key: str = ""
    last_key: str = ""


def loop_views(
    schedule: Schedule,
    score: Node,
    mask: Node | None,
    scalars: Printer,
    tiles: dict[bool, Printer],
    *,
    inner: Expr,
    finite: bool,
    list_head: str,
    descriptors: bool,
    overlap: bool,
) -> tuple[LoopView, ...]:
    """``scalars`` prints bounds; ``tiles[masked]`` prints what happens to a tile; ``list_head`` finds its tile list."""
    loops = _listed(list_head) if schedule.tile_list else [_closed_form(sweep, scalars) for sweep in schedule.sweeps]
    views = []
    for loop in loops:
        masked = loop.masked
        columns, score_text, keep = tile_texts(
            score,
            mask,
            tiles[masked],
            masked=masked,
            bound_check=schedule.bound_check,
            inside=descriptors,
            inner=inner,
        )
        if masked and re.search(r"\bcols\b", f"{columns} {score_text} {keep}"):
            columns = "\n".join(filter(None, ["cols = tl.minimum(offs_n, N - 1)", columns]))
        text = "\n".join((columns, score_text, keep))
        guard = masked or not finite
        uses_bound = masked and (not descriptors or re.search(r"\bin_n\b", keep) is not None)
        views.append(
            LoopView(
                why=loop.why,
                setup=loop.setup,
                header=loop.header,
                start=loop.start,
                masked=masked,
                uses_offsets=uses_bound or re.search(r"\boffs_n\b", text) is not None,
                uses_bound=uses_bound,
                columns=columns,
                score=score_text,
                keep=keep,
                guard_pivot=guard,
                pivot="pivot" if guard else "new_max",
                overlap=overlap and not masked and bool(loop.last_key),
                first_key=loop.first_key,
                last_key=loop.last_key,
            )
        )
    return tuple(views)


def _closed_form(sweep: Sweep, scalars: Printer) -> _Loop:
    kind = "edge" if sweep.masked else "full"
    if len(sweep.intervals) == 1:
        (interval,) = sweep.intervals
        lines, first = _bound(f"{kind}_first", interval.lo, scalars)
        more, last = _bound(f"{kind}_last", interval.hi, scalars)
        begin, end = "0" if first == "0" else f"{first} * BLOCK_N", f"{last} * BLOCK_N"
        setup = "\n".join(lines + more)
        if interval.step != 1:
            header = f"for start in range({begin}, {end}, {interval.step} * BLOCK_N):"
            return _Loop(sweep.masked, sweep.why, setup, header)
        header = f"for start in range({begin}, {end}, BLOCK_N):"
        return _Loop(sweep.masked, sweep.why, setup, header, first_key=begin, last_key=end)
    return _joined(sweep, kind, scalars)


def _bound(name: str, bound: Expr, scalars: Printer) -> tuple[list[str], str]:
    if is_const(bound) or bound.op in (Op.NAMED, Op.LENGTH):
        return [], scalars.text(bound, Axis.TILE)
    return scalars.statements(bound, name, Axis.TILE), name


def _joined(sweep: Sweep, kind: str, scalars: Printer) -> _Loop:
    """Several intervals as one loop: step number -> tile number."""
    lines: list[str] = []
    tile = ""
    steps = "0"
    for i, interval in enumerate(sweep.intervals, 1):
        more, first = _bound(f"{kind}_first_{i}", interval.lo, scalars)
        lines += more
        more, last = _bound(f"{kind}_last_{i}", interval.hi, scalars)
        lines += more
        length = f"{last} - {first}" if first != "0" else last
        if interval.step != 1:
            length = f"tl.cdiv({length}, {interval.step})"
        here = "step" if steps == "0" else f"(step - {steps})"
        here = here if interval.step == 1 else f"{here} * {interval.step}"
        here = here if first == "0" else f"{first} + {here}"
        lines.append(f"{kind}_steps_{i} = {'' if steps == '0' else f'{steps} + '}tl.maximum({length}, 0)")
        tile = here if not tile else f"{tile}|step < {steps}|{here}"
        steps = f"{kind}_steps_{i}"
    chosen, *parts = tile.split("|")
    body = []
    for condition, value in zip(parts[::2], parts[1::2], strict=True):
        body.append(f"tile = tl.where({condition}, {chosen}, {value})")
        chosen = "tile"
    body.append("start = tile * BLOCK_N")
    return _Loop(sweep.masked, sweep.why, "\n".join(lines), f"for step in range({steps}):", "\n".join(body))


def _listed(head: str) -> list[_Loop]:
    """Tiles from the list of the call: first those that need the mask, then those that do not."""
    row = f"list_row = tile_offsets + batch * stride_lb + {head} * stride_lh + q_tile"
    split = f"list_split = tl.load(tile_split + batch * stride_sb + {head} * stride_sh + q_tile)"
    start = "start = tl.load(tile_indices + step) * BLOCK_N"
    cut, whole = "range(tl.load(list_row), list_split)", "range(list_split, tl.load(list_row + 1))"
    return [
        _Loop(True, "listed tiles that the mask cuts", f"{row}\n{split}", f"for step in {cut}:", start),
        _Loop(False, "listed tiles that the mask keeps whole", "", f"for step in {whole}:", start),
    ]
