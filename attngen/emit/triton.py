"""Graph + schedule + plan -> the text of one standalone Triton file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from attngen.emit.arguments import kernel_arguments
from attngen.emit.environment import environment
from attngen.emit.header import header
from attngen.emit.host import TORCH_DTYPE, host_side
from attngen.emit.loops import loop_views
from attngen.emit.names import printer
from attngen.emit.prologue import affine_form, bound_lines, hoisted_lines, sink_lines, sink_logit
from attngen.emit.view import Chunk, View
from attngen.expr.op import Expr, Op, tensors
from attngen.expr.printer import Printer
from attngen.expr.simplify import simplify
from attngen.graph.guard import Guard
from attngen.graph.node import AttentionGraph, AttentionOp, Node
from attngen.language.definition import Softmax
from attngen.planner.plan import Plan
from attngen.tiling.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Origin:
    """Words for the header: the spec's name and text, the command that makes the file again, and remarks."""

    name: str
    doc: str
    command: str
    dtype_assumed: bool
    remarks: tuple[str, ...] = ()


def emit_triton(graph: AttentionGraph, schedule: Schedule, plan: Plan, origin: Origin) -> str:
    """The whole source. Pure: the same values give the same text."""
    return environment("triton").get_template("forward.py.j2").render(view=make_view(graph, schedule, plan, origin))


def make_view(graph: AttentionGraph, schedule: Schedule, plan: Plan, origin: Origin) -> View:
    """Print every expression and gather what the template may see."""
    definition, packed = graph.definition, plan.pack > 1
    score, mask = graph.get(AttentionOp.SCORE), graph.get(AttentionOp.MASK)
    assert score is not None and score.expr is not None
    nodes = [score] if mask is None else [score, mask]
    guard = Guard(dict(graph.needs))
    bounds = [(bound, simplify(guard(bound.expr))) for bound in schedule.bounds]
    softmax = isinstance(definition.normalizer, Softmax)
    affine = affine_form(score.expr) if softmax else None
    offset = affine.offset if affine else 0.0
    sink = sink_logit(definition.normalizer, offset)
    exprs = [*_exprs(nodes), *(expr for _, expr in bounds), *_ends(schedule), *([] if sink is None else [sink])]
    used = tensors(*exprs)

    def new_printer(*, clamp_keys: bool = False) -> Printer:
        return printer(definition.params, tuple(used), packed=packed, clamp_keys=clamp_keys)

    scalars, tiles = new_printer(), {True: new_printer(clamp_keys=True), False: new_printer()}
    # an affine score is known to be finite: without one, a row may meet only -inf even in a full tile
    finite = affine is not None and affine.inner.op is Op.SCORE
    prologue = [f"qk_scale = {affine.factor!r}  # scale * log2(e)"] if affine else []
    prologue += hoisted_lines(nodes, scalars) + bound_lines(bounds, scalars)
    loops = loop_views(
        schedule,
        score,
        mask,
        scalars,
        tiles,
        inner=affine.inner if affine else score.expr,
        finite=finite,
        list_head="kv_head" if packed else "head",
        descriptors=plan.descriptors,
        overlap=plan.overlap,
    )
    if any(re.search(r"\brows\b", text) for text in (*prologue, *(x for y in loops for x in (y.score, y.keep)))):
        prologue.insert(0, "rows = tl.minimum(offs_m, M - 1)  # rows beyond the end are computed and not stored")
    if any("offs_k" in loop.keep for loop in loops):
        prologue.append("offs_k = tl.arange(0, BLOCK_N)")
    arguments = kernel_arguments(definition, exprs, used, plan.dtype, tile_list=schedule.tile_list)
    host = host_side(definition, used, guard.needs, scalars, tile_list=schedule.tile_list, descriptors=plan.descriptors)
    called = set[Op]().union(*(p.helpers for p in (scalars, *tiles.values())))
    chunks_qk = _chunks(plan.chunks_qk, definition.head_dim.qk, "offs_d")
    offsets_v = "offs_d" if plan.chunks_v == plan.chunks_qk else "offs_v"
    chunks_v = _chunks(plan.chunks_v, definition.head_dim.v, offsets_v)
    precision = "tf32" if definition.tf32 else "ieee"
    return View(
        docstring=header(origin.name, origin.doc, definition, plan, origin.command, origin.dtype_assumed),
        torch_dtype=TORCH_DTYPE[plan.dtype],
        heads=definition.heads.q,
        kv_heads=definition.heads.kv,
        group=definition.heads.group,
        head_dim_qk=definition.head_dim.qk,
        head_dim_v=definition.head_dim.v,
        block_m=plan.block_m,
        block_n=plan.block_n,
        block_q=plan.block_q,
        num_warps=plan.num_warps,
        num_stages=plan.num_stages,
        pack=plan.pack,
        packed=packed,
        lane_head=_lane_head(plan.pack, definition.heads.group),
        plain=not packed,
        descriptors=plan.descriptors,
        pointers=not plan.descriptors,
        k_transposed=".T" if plan.descriptors else "",
        # with a mask the last query tiles have most keys: they start first
        reverse=mask is not None and not schedule.tile_list,
        input_precision="" if plan.dtype != "fp32" else f', input_precision="{precision}"',
        plan_items=_plan_items(plan),
        helpers=tuple(_text(f"helpers/{op.name.lower()}") for op in (Op.FLOORDIV, Op.MOD) if op in called),
        host_helpers=tuple(_text(f"host/{name}") for name in host.helpers),
        arguments=arguments,
        not_specialized=tuple(item.name for item in arguments if not item.specialize),
        call_arguments=host.call,
        checks=host.checks,
        derived="\n".join(host.derived),
        tile_list=schedule.tile_list,
        chunks_qk=chunks_qk,
        chunks_v=chunks_v,
        first_chunk=chunks_qk[0],
        more_chunks=chunks_qk[1:],
        dims=tuple({chunk.dims: chunk for chunk in (*(chunks_qk if loops else ()), *chunks_v)}.values()),
        prologue="\n".join(prologue),
        loops=loops,
        softmax=softmax,
        sigmoid=not softmax,
        sink="" if sink is None else "\n".join(sink_lines(sink, scalars, packed=packed)),
        factor="qk_scale" if affine else "",
        offset=repr(offset) if offset else "",
        strided=tuple(dict.fromkeys(re.findall(r"(\w+)_strides\[", " ".join(item.value for item in arguments)))),
    )


def _lane_head(pack: int, group: int) -> str:
    """The head of a row inside its group; rows that only pad the group to a power of two repeat the last head."""
    return f"lane % {pack}" if pack == group else f"tl.minimum(lane % {pack}, {group - 1})"


def _exprs(nodes: list[Node]) -> list[Expr]:
    return [expr for node in nodes for expr in (node.expr, *(item.expr for item in node.hoisted)) if expr is not None]


def _ends(schedule: Schedule) -> list[Expr]:
    return [end for sweep in schedule.sweeps for interval in sweep.intervals for end in (interval.lo, interval.hi)]


def _chunks(widths: tuple[int, ...], dim: int, offsets: str) -> tuple[Chunk, ...]:
    chunks, start = [], 0
    for i, width in enumerate(widths):
        name = "" if len(widths) == 1 else f"_{i}"
        valid = str(dim) if start + width > dim else ""
        summand = f"{start} + " if start else ""
        chunks.append(Chunk(name, f"{offsets}{name}", width, str(start), summand, valid))
        start += width
    return tuple(chunks)


def _plan_items(plan: Plan) -> tuple[tuple[str, str], ...]:
    """The plan as a literal that a program can read back from the module."""
    fields = ("block_m", "block_n", "pack", "num_warps", "num_stages", "descriptors", "overlap")
    words = (("target", plan.target), ("arch", plan.arch), ("dtype", plan.dtype))
    return (*((name, f'"{text}"') for name, text in words), *((name, str(getattr(plan, name))) for name in fields))


def _text(template: str) -> str:
    return environment("triton").get_template(f"{template}.py.j2").render().strip()
