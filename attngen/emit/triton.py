"""Graph + schedule + plan -> the text of one standalone Triton file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from attngen.emit.arguments import TORCH_DTYPE, collect_arguments
from attngen.emit.environment import environment
from attngen.emit.header import header
from attngen.emit.loops import loop_views
from attngen.emit.names import printer
from attngen.emit.view import Chunk, View
from attngen.expr.axis import Axis
from attngen.expr.build import H_IDX, const, length, load, make
from attngen.expr.op import Expr, Op, TensorRef, tensors
from attngen.expr.printer import Printer
from attngen.expr.simplify import is_const, simplify
from attngen.graph.guard import Guard
from attngen.graph.node import AttentionGraph, AttentionOp, Hoisted, Node
from attngen.graph.passes.fold_scale import LOG2E
from attngen.language.definition import Sigmoid, Softmax
from attngen.planner.plan import Plan
from attngen.tiling.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Origin:
    """Words for the header: the spec's name and text, and the command that makes the file again."""

    name: str
    doc: str
    command: str
    dtype_assumed: bool


def emit_triton(graph: AttentionGraph, schedule: Schedule, plan: Plan, origin: Origin) -> str:
    """The whole source. Pure: the same values give the same text."""
    return environment("triton").get_template("forward.py.j2").render(view=make_view(graph, schedule, plan, origin))


def make_view(graph: AttentionGraph, schedule: Schedule, plan: Plan, origin: Origin) -> View:
    definition = graph.definition
    score, mask = graph.get(AttentionOp.SCORE), graph.get(AttentionOp.MASK)
    assert score is not None and score.expr is not None
    guard = Guard()
    guard.needs.update(graph.needs)
    bounds = [(bound, simplify(guard(bound.expr))) for bound in schedule.bounds]
    sink = _sink_expr(definition.normalizer)
    exprs = [expr for node in (score, mask) if node is not None for expr in _exprs(node)]
    exprs += [expr for _, expr in bounds] + [bound for sweep in schedule.sweeps for i in sweep.intervals for bound in (i.lo, i.hi)]
    exprs += [sink] if sink is not None else []

    packed = plan.pack > 1
    used = tuple(tensors(*exprs))

    def new_printer(*, clamp_keys: bool = False) -> Printer:
        return printer(definition.params, used, packed=packed, clamp_keys=clamp_keys)

    scalars, tiles = new_printer(), {True: new_printer(clamp_keys=True), False: new_printer()}
    factor = _factor(score)
    prologue = [f"qk_scale = {factor}  # scale * log2(e)"] if factor else []
    prologue += _prologue(score, mask, scalars)
    for bound, expr in bounds:
        axis = Axis.TILE if bound.reduce == "uniform" else Axis.ROW
        prologue += scalars.statements(expr, bound.name, axis)
        prologue += [] if axis is Axis.TILE else [f"{bound.name} = tl.{bound.reduce}({bound.name})"]
    loops = loop_views(
        schedule,
        score,
        mask,
        scalars,
        tiles,
        factor="qk_scale" if factor else "",
        list_head="kv_head" if packed else "head",
        descriptors=plan.descriptors,
    )
    sink_text = "" if sink is None else _sink_text(sink, scalars, packed)
    if any("rows" in line for line in [*prologue, *(loop.score + loop.keep + loop.columns for loop in loops)]):
        prologue.insert(0, "rows = tl.minimum(offs_m, M - 1)  # rows beyond the end read the last one and are not stored")
    host = new_printer()
    arguments = collect_arguments(definition, exprs, guard.needs, _host_names(host, definition.heads.q), tile_list=schedule.tile_list)
    helpers = set().union(*(p.helpers for p in (scalars, *tiles.values())))
    chunks_qk, chunks_v = _chunks(plan.chunks_qk, definition.head_dim.qk, "offs_d"), _chunks(
        plan.chunks_v, definition.head_dim.v, "offs_d" if plan.chunks_v == plan.chunks_qk else "offs_v"
    )
    softmax = isinstance(definition.normalizer, Softmax)
    return View(
        docstring=header(origin.name, origin.doc, definition, plan, origin.command, origin.dtype_assumed),
        target=plan.target,
        dtype=plan.dtype,
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
        plain=not packed,
        descriptors=plan.descriptors,
        pointers=not plan.descriptors,
        k_transposed=".T" if plan.descriptors else "",
        reverse=mask is not None and not schedule.tile_list,
        input_precision="" if plan.dtype != "fp32" else f', input_precision="{"tf32" if definition.tf32 else "ieee"}"',
        plan_items=_plan_items(plan),
        helpers=tuple(_helper(op) for op in (Op.FLOORDIV, Op.MOD) if op in helpers),
        host_helpers=tuple(
            _host_helper(name) for name in (*arguments.host_helpers, *(["check_tensor"] if arguments.checks else []),
                                            *(["every_tile"] if schedule.tile_list else []),
                                            *(["describable"] if plan.descriptors else []))
        ),
        arguments=arguments.kernel,
        not_specialized=arguments.not_specialized,
        call_arguments=arguments.call,
        checks=arguments.checks,
        derived=arguments.derived,
        tile_list=schedule.tile_list,
        chunks_qk=chunks_qk,
        chunks_v=chunks_v,
        first_chunk=chunks_qk[0],
        more_chunks=chunks_qk[1:],
        dims=tuple({chunk.dims: chunk for chunk in (*chunks_qk, *chunks_v)}.values()),
        prologue="\n".join(prologue),
        loops=loops,
        softmax=softmax,
        sigmoid=not softmax,
        sink=sink_text,
        factor="qk_scale" if factor else "",
        table_strides=tuple(sorted({item.value.split("_strides[")[0] for item in arguments.kernel if "_strides[" in item.value})),
    )  # fmt: skip


def _exprs(node: Node) -> list[Expr]:
    assert node.expr is not None
    return [node.expr, *(item.expr for item in node.hoisted)]


def _prologue(score: Node, mask: Node | None, scalars: Printer) -> list[str]:
    """The values that score and mask take out of the tile: once a query tile or once a row."""
    hoisted: dict[str, Hoisted] = {}
    for node in (score, mask):
        if node is not None:
            hoisted.update({item.name: item for item in node.hoisted if item.axis != "column"})
    lines = []
    for item in hoisted.values():
        lines += scalars.statements(item.expr, item.name, Axis.TILE if item.axis == "tile" else Axis.ROW)
    return lines


def _factor(score: Node) -> str:
    """The constant c of a score that is c * s, c > 0, as text: softmax then folds it into its exp2."""
    expr = score.expr
    assert expr is not None
    for constant, other in (expr.args, expr.args[::-1]) if expr.op is Op.MUL else ():
        if is_const(constant) and other.op is Op.SCORE and constant.value > 0:
            return repr(constant.value)
    return "1.0" if expr.op is Op.SCORE else ""


def _sink_expr(normalizer: Softmax | Sigmoid) -> Expr | None:
    if isinstance(normalizer, Sigmoid) or normalizer.sink is None:
        return None
    if isinstance(normalizer.sink, TensorRef):
        logit = load(normalizer.sink, [H_IDX])
        return make(Op.MUL, logit, const(LOG2E))
    return const(normalizer.sink * LOG2E)


def _sink_text(sink: Expr, scalars: Printer, packed: bool) -> str:
    """A sink is a key with this logit and no value: it starts the running maximum and sum."""
    if packed and sink.op is not Op.CONST:
        first = f"row_max = {scalars.text(sink, Axis.ROW)}"
    else:
        first = f"row_max = tl.zeros([BLOCK_M], tl.float32) + {scalars.text(sink, Axis.TILE)}"
    return f"{first}\nrow_sum = tl.full([BLOCK_M], 1.0, tl.float32)"


def _chunks(widths: tuple[int, ...], dim: int, offsets: str) -> tuple[Chunk, ...]:
    chunks, start = [], 0
    for i, width in enumerate(widths):
        name = "" if len(widths) == 1 else f"_{i}"
        valid = str(dim) if start + width > dim else ""
        chunks.append(Chunk(name, f"{offsets}{name}", width, str(start), f"{start} + " if start else "", valid))
        start += width
    return tuple(chunks)


def _plan_items(plan: Plan) -> tuple[tuple[str, str], ...]:
    return (
        ("target", f'"{plan.target}"'),
        ("arch", f'"{plan.arch}"'),
        ("dtype", f'"{plan.dtype}"'),
        ("block_m", str(plan.block_m)),
        ("block_n", str(plan.block_n)),
        ("pack", str(plan.pack)),
        ("descriptors", str(plan.descriptors)),
        ("num_warps", str(plan.num_warps)),
        ("num_stages", str(plan.num_stages)),
    )


def _helper(op: Op) -> str:
    return environment("triton").get_template(f"helpers/{op.name.lower()}.py.j2").render().strip()


def _host_helper(name: str) -> str:
    return environment("triton").get_template(f"host/{name}.py.j2").render().strip()


def _host_names(host: Printer, heads: int) -> Printer:
    """The same lengths as the launcher calls them."""
    scope = host.scope
    names = dict(scope.names)
    launcher = {"M": "m", "N": "n", "B": "batch", "H": str(heads)}
    names.update({length(letter): (text, Axis.TILE) for letter, text in launcher.items()})
    return Printer(host.dialect, dataclasses.replace(scope, names=names))
