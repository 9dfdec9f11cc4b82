"""The runtime arguments of the kernel, in order, and what the launcher passes for each."""

from __future__ import annotations

from collections.abc import Iterator

from attngen.emit.names import kernel_name, size_name, stride_name
from attngen.emit.view import ArgumentView
from attngen.expr.op import Expr, Op, TensorRef, walk
from attngen.language.definition import Definition, Softmax


def kernel_arguments(
    definition: Definition, exprs: list[Expr], used: list[TensorRef], dtype: str, *, tile_list: bool
) -> tuple[ArgumentView, ...]:
    """``exprs``: all that the kernel evaluates; ``used``: the tensors in them; ``dtype``: of q, k, v and out."""
    return (
        *_inputs(definition, dtype),
        *_scalars(definition, exprs),
        *(argument for ref in used for argument in _table(ref, exprs)),
        *(_TILE_LIST if tile_list else ()),
    )


def shape_text(ref: TensorRef) -> str:
    return ", ".join("?" if dim is None else str(dim) for dim in ref.shape)


def _inputs(definition: Definition, dtype: str) -> Iterator[ArgumentView]:
    heads, width = definition.heads, definition.head_dim
    yield ArgumentView("Q", "q", f"*{dtype}", f"[B, {heads.q}, M, {width.qk}]")
    yield ArgumentView("K", "k", f"*{dtype}", f"[B, {heads.kv}, N, {width.qk}]")
    yield ArgumentView("V", "v", f"*{dtype}", f"[B, {heads.kv}, N, {width.v}]")
    yield ArgumentView("Out", "out", f"*{dtype}", f"[B, {heads.q}, M, {width.v}]")
    if isinstance(definition.normalizer, Softmax):
        yield ArgumentView("Lse", "lse", "*fp32", f"[B, {heads.q}, M], natural log")
    for name, tensor, row in (("q", "q", "m"), ("k", "k", "n"), ("v", "v", "n"), ("o", "out", "m")):
        for i, letter in enumerate(("b", "h", row)):
            yield ArgumentView(f"stride_{name}{letter}", f"{tensor}_strides[{i}]", "int32")


def _scalars(definition: Definition, exprs: list[Expr]) -> Iterator[ArgumentView]:
    leaves = {(node.op, node.value) for node in walk(*exprs) if node.op in (Op.LENGTH, Op.PARAM)}
    yield ArgumentView("M", "m", "int32", "queries", specialize=False)
    yield ArgumentView("N", "n", "int32", "keys", specialize=False)
    if (Op.LENGTH, "B") in leaves:
        yield ArgumentView("B", "batch", "int32", "batch size", specialize=False)
    for param in definition.params:
        if (Op.PARAM, param) in leaves:
            yield ArgumentView(kernel_name(param.name), param.name, param.dtype, param.dtype, specialize=False)


def _table(ref: TensorRef, exprs: list[Expr]) -> Iterator[ArgumentView]:
    sizes = {node.value for node in walk(*exprs) if node.op is Op.SIZE}
    yield ArgumentView(kernel_name(ref.name), ref.name, f"*{ref.dtype}", f"[{shape_text(ref)}] {ref.dtype}")
    for dim in range(ref.rank):
        if ref.shape[dim] == 1:
            continue
        # a row of a table may be as long as a sequence: only the last stride may specialise the kernel
        last = dim == ref.rank - 1
        yield ArgumentView(stride_name(ref, dim), f"{ref.name}_strides[{dim}]", "int32", specialize=last)
        if (ref, dim) in sizes:
            yield ArgumentView(size_name(ref, dim), f"{ref.name}.shape[{dim}]", "int32", specialize=False)


_TILE_LIST = (
    ArgumentView("tile_offsets", "tile_offsets", "*int32", "[B or 1, H or 1, query tiles + 1]: into tile_indices"),
    ArgumentView("tile_split", "tile_split", "*int32", "[B or 1, H or 1, query tiles]: masked tiles end here"),
    ArgumentView("tile_indices", "tile_indices", "*int32", "key tiles: masked ones, then full ones"),
    ArgumentView("stride_lb", "tile_offsets_strides[0]", "int32", specialize=False),
    ArgumentView("stride_lh", "tile_offsets_strides[1]", "int32", specialize=False),
    ArgumentView("stride_sb", "tile_split_strides[0]", "int32", specialize=False),
    ArgumentView("stride_sh", "tile_split_strides[1]", "int32", specialize=False),
)
