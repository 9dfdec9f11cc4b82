"""Graph + schedule + plan -> the text of one standalone C++ file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from attngen.emit.cpu.comment import comment
from attngen.emit.cpu.decode import decode_view, vector_offset
from attngen.emit.cpu.dialect import legalize
from attngen.emit.cpu.expressions import Expressions, bound_views, prescaled
from attngen.emit.cpu.fields import CPP, entry_arguments, interface_of, members
from attngen.emit.cpu.helpers import helper_texts, value_texts
from attngen.emit.cpu.interface import Interface
from attngen.emit.cpu.names import Names, declared, literal_of
from attngen.emit.cpu.sweeps import sweep_views
from attngen.emit.cpu.view import Dims, Lane, Member, View
from attngen.emit.environment import environment
from attngen.emit.prologue import sink_logit
from attngen.emit.triton import Origin
from attngen.expr.axis import Axis
from attngen.expr.build import length, param
from attngen.expr.op import Expr, Op, tensors, walk
from attngen.expr.simplify import simplify
from attngen.graph.guard import Guard
from attngen.graph.node import AttentionGraph, AttentionOp, Node
from attngen.language.definition import Definition, Softmax
from attngen.planner.cpu import CpuPlan
from attngen.tiling.schedule import Schedule

SHORT = 12
"""A score and mask of more operations than this are not repeated for every pair of a micro-tile."""


@dataclass(frozen=True, slots=True)
class CpuSource:
    """A C++ file, rendered when it is asked for, and what its caller has to know."""

    render: Callable[[], str]
    interface: Interface


def emit_cpu(graph: AttentionGraph, schedule: Schedule, plan: CpuPlan, origin: Origin) -> CpuSource:
    """The whole source. Pure: the same values give the same text."""
    view, interface = make_view(graph, schedule, plan, origin)
    return CpuSource(partial(_rendered, view, interface, plan), interface)


def _rendered(view: View, interface: Interface, plan: CpuPlan) -> str:
    template = environment("cpu").get_template("decode.cpp.j2" if plan.decode else "forward.cpp.j2")
    bare = template.render(view=view)
    vectors = "\n".join([view.row_values, view.score, view.keep, view.key_values if plan.decode else ""])
    dtypes = {plan.dtype} | {field.ref.dtype for field in interface.fields if field.ref is not None}
    helpers = value_texts(dtypes, plan.dtype == "fp64", plan.dtype) + helper_texts(bare, plan, vectors=vectors)
    structs = tuple(name for name in ("bf16", "fp16") if name in dtypes)
    return template.render(view=dataclasses.replace(view, helpers=helpers, structs=structs))


def make_view(graph: AttentionGraph, schedule: Schedule, plan: CpuPlan, origin: Origin) -> tuple[View, Interface]:
    """Print every expression and gather what the template may see."""
    definition, packed = graph.definition, plan.pack > 1
    score, mask = graph.get(AttentionOp.SCORE), graph.get(AttentionOp.MASK)
    assert score is not None and score.expr is not None
    guard = Guard(dict(graph.needs))
    bounds = [(bound, simplify(guard(bound.expr))) for bound in schedule.bounds]
    softmax = isinstance(definition.normalizer, Softmax)
    sink = sink_logit(definition.normalizer, 0.0)
    exprs = [*_exprs(score, mask), *(expr for _, expr in bounds), *_ends(schedule), *([] if sink is None else [sink])]
    used = tensors(*exprs)
    names = Names(definition.params, tuple(used), plan.dtype, packed=packed, column_lanes=plan.decode)
    printed = Expressions(names, score, mask, bound_check=schedule.bound_check)
    interface = interface_of(
        definition, exprs, used, guard.needs, plan.dtype, tile_list=schedule.tile_list, split=plan.decode
    )
    inner, factor = (score.expr, 1.0) if plan.dot else prescaled(score.expr)
    tile, rows, keys = printed.tile(), printed.rows(), printed.keys()
    uniform, reduced = bound_views(bounds, names)
    entry, entry_values = entry_arguments(interface, definition)
    width, heads, lanes = definition.head_dim, definition.heads, plan.lanes
    row_head = printed.reads_row_head(() if sink is None else (sink,))
    q_rows, out_rows = _padded(width.qk // 2 if plan.dot else width.qk, lanes), _padded(width.v, lanes)
    scaled = factor != 1.0
    always = _operations(inner) > SHORT
    loops = () if schedule.tile_list else sweep_views(schedule, names.scalars(), plan)
    unmasked = tuple(part.i for sweep in loops if sweep.masked == "false" for part in sweep.ranges)
    joins = plan.grain < plan.block_n and any(sweep.masked for sweep in schedule.sweeps)
    masked_only = not always and mask is not None and _operations(inner, mask.expr) > SHORT
    view = View(
        comment=comment(origin, definition, plan),
        structs=(),
        element=CPP[plan.dtype],
        real="double" if plan.dtype == "fp64" else "float",
        whole="int64_t" if plan.dtype == "fp64" else "int32_t",
        lanes=lanes,
        block_m=plan.block_m,
        block_n=plan.block_n,
        at_most=", at most" if plan.grain < plan.block_n else "",
        grain=plan.grain,
        block_q=plan.block_q,
        qk_dim=width.qk,
        v_dim=width.v,
        q_rows=q_rows,
        q_layout="[pair of columns][row]" if plan.dot else "[column][row]",
        q_left="QK_DIM / 2" if plan.dot else "QK_DIM" if width.qk % lanes else "",
        out_rows=out_rows,
        scaled_words=" times scale * log2(e)" if scaled else "",
        times_scale=f" * {factor!r}{literal_of(plan.dtype)}" if scaled else "",
        times_inverse=" * inverse" if softmax else "",
        k_type="bf16" if plan.dot else "real",
        v_type="int32_t" if plan.dot else "real",
        v_skipped="skipped / 2 * V_DIM" if plan.dot else "skipped * all.v_stride",
        heads=heads.q,
        kv_heads=heads.kv,
        group=heads.group,
        item_heads=heads.kv if packed else heads.q,
        item_words=f" of the {heads.group} heads that share keys" if packed else " of one head",
        row_item=_row_item(packed, heads.group, masked=mask is not None),
        q_tiles=plan.q_tiles,
        tiles=", ".join(["call"] * plan.q_tiles),
        sweeps=sum(len(sweep.ranges) for sweep in loops),
        unmasked=len(unmasked),
        # a long mask costs more than a short tile
        joined=unmasked if joins and not masked_only else (),
        list_head="tile.kv_head" if packed else "tile.head",
        packed=packed,
        row_head=row_head,
        lane_row=f"i % {plan.block_m}" if plan.decode else "first + i",
        key_type="vi" if plan.decode else "whole",
        dot=plan.dot,
        widened=plan.widened,
        odd_width=width.qk % lanes > 0 or width.v % lanes > 0,
        softmax=softmax,
        members=members(interface),
        helpers=(),
        tile_members=(*_tile_members(definition, exprs, plan, packed), *tile.members),
        tile_values="\n".join(filter(None, [_tile_values(definition, exprs), tile.text])),
        row_members=(Member("vi ", "q"), *([Member("vi ", "h")] if row_head else []), *rows.members),
        row_values=rows.text,
        key_members=(Member("vi " if plan.decode else "whole ", "kv"), *keys.members),
        key_values=keys.text,
        apart=always or masked_only,
        apart_always=always,
        apart_masked=masked_only,
        scored_here=not always,
        tops_here=softmax and not always,
        score=printed.score_text(inner),
        keep=printed.keep_text(),
        sink=_sink(sink, names),
        micro_m=plan.micro_m,
        micro_n=plan.micro_n,
        step_m="LANES" if plan.micro_m == 1 else f"{plan.micro_m} * LANES",
        vectors=_vectors(plan.micro_m),
        keys=tuple(Lane(i) for i in range(plan.micro_n)),
        dims=_dims(width.v, plan.micro_d),
        bounds=reduced,
        uniform_bounds=uniform,
        loops=loops,
        listed=schedule.tile_list,
        entry=entry,
        entry_values=entry_values,
        decode=decode_view(plan, width, q_rows, out_rows, sink=sink is not None) if plan.decode else None,
    )
    return view, interface


def _row_item(packed: bool, group: int, *, masked: bool) -> str:
    """Which rows an item has. With a mask the last rows have most keys, and come first."""
    item = "item" if packed else f"item / {group}"
    return f"items - 1 - {item} % items" if masked else f"{item} % items"


def _operations(*exprs: Expr | None) -> int:
    """Roughly the instructions of expressions; a load is one for every lane."""
    nodes = walk(*(expr for expr in exprs if expr is not None))
    return sum(6 if node.op is Op.LOAD else 1 for node in nodes if node.args)


def _exprs(*nodes: Node | None) -> list[Expr]:
    found = [node for node in nodes if node is not None]
    return [expr for node in found for expr in (node.expr, *(item.expr for item in node.hoisted)) if expr is not None]


def _ends(schedule: Schedule) -> list[Expr]:
    return [end for sweep in schedule.sweeps for interval in sweep.intervals for end in (interval.lo, interval.hi)]


def _padded(width: int, lanes: int) -> int:
    return -(-width // lanes) * lanes


def _vectors(count: int) -> tuple[Lane, ...]:
    return tuple(Lane(i, vector_offset(i), ", " if i + 1 < count else "") for i in range(count))


def _dims(width: int, step: int) -> tuple[Dims, ...]:
    """Whole micro-tiles, and one narrower for the columns that are left."""
    whole, rest = width // step * step, width % step
    runs = []
    if whole:
        runs.append(Dims(0, whole, step, tuple(Lane(i) for i in range(step))))
    if rest:
        runs.append(Dims(whole, width, rest, tuple(Lane(i) for i in range(rest))))
    return tuple(runs)


def _tile_members(definition: Definition, exprs: list[Expr], plan: CpuPlan, packed: bool) -> list[Member]:
    from attngen.emit.cpu.names import member

    element = CPP[plan.dtype]
    out = [
        Member("whole ", "batch"),
        Member("whole ", "kv_head"),
        *([] if packed else [Member("whole ", "head")]),
        Member("whole ", "q_tile"),
        Member("whole ", "q_start", "the first query"),
        *([Member("whole ", "B")] if length("B") in _leaves(exprs) else []),
        Member("whole ", "M"),
        Member("whole ", "N"),
        Member(f"const {element} *", "k", "keys and values of the head"),
        Member(f"const {element} *", "v"),
    ]
    for item in definition.params:
        if param(item) in _leaves(exprs):
            out.append(Member("whole " if item.dtype == "int32" else "real ", member(item.name)))
    return out


def _tile_values(definition: Definition, exprs: list[Expr]) -> str:
    from attngen.emit.cpu.names import member

    names = [*(["B"] if length("B") in _leaves(exprs) else []), "M", "N"]
    lines = [f"tile.{name} = whole(call.{name});" for name in names]
    for item in definition.params:
        if param(item) in _leaves(exprs):
            kind = "whole" if item.dtype == "int32" else "real"
            lines.append(f"tile.{member(item.name)} = {kind}(call.{member(item.name)});")
    return "\n".join(lines)


def _leaves(exprs: list[Expr]) -> set[Expr]:
    return set(walk(*exprs))


def _sink(sink: Expr | None, names: Names) -> str:
    if sink is None:
        return ""
    printer = names.vectors() if names.packed and sink.args else names.scalars()
    return declared(printer.statements(legalize(sink), "sink", Axis.TILE))
