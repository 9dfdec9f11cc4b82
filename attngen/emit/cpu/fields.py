"""The members of `Call`, in order, and the arguments of `attention` that fill them."""

from __future__ import annotations

from collections.abc import Iterator

from attngen.emit.cpu.interface import CTYPE, Field, Interface, Meaning, Need
from attngen.emit.cpu.names import member, size_member, stride_member
from attngen.emit.cpu.view import Member
from attngen.expr.op import Expr, Op, TensorRef, walk
from attngen.graph.guard import Needs
from attngen.language.definition import Definition, Softmax

CPP = {
    "fp32": "float", "fp64": "double", "bf16": "bf16", "fp16": "fp16", "bool": "bool", "int32": "int32_t",
    "int64": "int64_t",
}  # fmt: skip
_ROWS = {"q": "m", "k": "n", "v": "n", "out": "m"}


def interface_of(
    definition: Definition,
    exprs: list[Expr],
    used: list[TensorRef],
    needs: Needs,
    dtype: str,
    *,
    tile_list: bool,
    split: bool,
) -> Interface:
    """``exprs``: all that the kernel evaluates; ``used``: the tensors in them; ``dtype``: of q, k, v and out."""
    fields = [*_inputs(definition, dtype), *_lengths(), *_strides(), *_scalars(definition)]
    for ref in used:
        fields += _tensor(ref, exprs)
    fields += _TILE_LIST if tile_list else ()
    fields += _SHARED if split else ()
    wanted = tuple(Need(ref, dim, lengths) for (ref, dim), lengths in needs.items() if lengths and ref in used)
    return Interface(dtype, tuple(fields), wanted, tile_list, split)


def members(interface: Interface) -> tuple[Member, ...]:
    """The struct, typed."""
    return tuple(Member(_type(field, interface.dtype), field.member, field.comment) for field in interface.fields)


def _type(field: Field, dtype: str) -> str:
    match field.meaning:
        case Meaning.DATA if field.name == "lse":
            return "double *" if dtype == "fp64" else "float *"
        case Meaning.DATA:
            return f"{CPP[dtype]} *" if field.name == "out" else f"const {CPP[dtype]} *"
        case Meaning.TENSOR if field.ref is not None:
            return f"const {CPP[field.ref.dtype]} *"
        case Meaning.TILES:
            return "const int32_t *"
        case Meaning.SHARED:
            return "void *"
    return f"{CTYPE[field.letter]} "


def _inputs(definition: Definition, dtype: str) -> Iterator[Field]:
    heads, width = definition.heads, definition.head_dim
    shapes = {
        "q": f"[B, {heads.q}, M, {width.qk}]",
        "k": f"[B, {heads.kv}, N, {width.qk}]",
        "v": f"[B, {heads.kv}, N, {width.v}]",
        "out": f"[B, {heads.q}, M, {width.v}]",
    }
    for name, shape in shapes.items():
        yield Field(name, "P", Meaning.DATA, name, comment=shape)
    if isinstance(definition.normalizer, Softmax):
        yield Field("lse", "P", Meaning.DATA, "lse", comment=f"[B, {heads.q}, M], natural log; or null")


def _lengths() -> Iterator[Field]:
    for name, words in (("B", "batch size"), ("M", "queries"), ("N", "keys")):
        yield Field(name, "q", Meaning.LENGTH, name, comment=words)


def _strides() -> Iterator[Field]:
    for name, row in _ROWS.items():
        for dim, letter in enumerate(("b", "h", row)):
            yield Field(f"{name}_{letter}", "q", Meaning.STRIDE, name, dim)


def _scalars(definition: Definition) -> Iterator[Field]:
    for param in definition.params:
        letter = "q" if param.dtype == "int32" else "d"
        yield Field(member(param.name), letter, Meaning.PARAM, param.name, comment=param.dtype)


def _tensor(ref: TensorRef, exprs: list[Expr]) -> Iterator[Field]:
    sizes = {node.value for node in walk(*exprs) if node.op is Op.SIZE}
    shape = ", ".join("?" if dim is None else str(dim) for dim in ref.shape)
    yield Field(member(ref.name), "P", Meaning.TENSOR, ref.name, ref=ref, comment=f"[{shape}]{_origin(ref)}")
    for dim in range(ref.rank):
        if ref.shape[dim] != 1:
            yield Field(stride_member(ref, dim), "q", Meaning.STRIDE, ref.name, dim, ref)
        if (ref, dim) in sizes:
            yield Field(size_member(ref, dim), "q", Meaning.SIZE, ref.name, dim, ref)


def _origin(ref: TensorRef) -> str:
    if ref.derived is None:
        return ""
    sources = ", ".join(source.name for source in ref.derived.sources)
    return f", {ref.derived.recipe.replace('_', ' ')} of {sources}"


_TILE_LIST = (
    Field(
        "tile_offsets", "P", Meaning.TILES, "offsets", comment="[B or 1, H or 1, query tiles + 1]: into tile_indices"
    ),
    Field("tile_split", "P", Meaning.TILES, "split", comment="[B or 1, H or 1, query tiles]: masked tiles end here"),
    Field("tile_indices", "P", Meaning.TILES, "indices", comment="key tiles: masked ones, then full ones; or null"),
    Field("tile_offsets_b", "q", Meaning.TILES_STRIDE, "offsets", 0),
    Field("tile_offsets_h", "q", Meaning.TILES_STRIDE, "offsets", 1),
    Field("tile_split_b", "q", Meaning.TILES_STRIDE, "split", 0),
    Field("tile_split_h", "q", Meaning.TILES_STRIDE, "split", 1),
)
_SHARED = (Field("shared", "P", Meaning.SHARED, "shared", comment="attngen_shared bytes of partial results"),)


def entry_arguments(
    interface: Interface, definition: Definition
) -> tuple[tuple[Member, ...], tuple[tuple[str, str], ...]]:
    """(arguments, assignments to the members of a Call) of `attention`, for contiguous tensors."""
    arguments: list[Member] = []
    values: list[tuple[str, str]] = []
    typed = {item.name: item for item in members(interface)}
    widths = {"q": definition.head_dim.qk, "k": definition.head_dim.qk, "v": definition.head_dim.v}
    heads = {"q": definition.heads.q, "out": definition.heads.q}
    for field in interface.fields:
        item = typed[field.member]
        if field.meaning is Meaning.STRIDE and field.ref is None:
            width, count = widths.get(field.name, definition.head_dim.v), heads.get(field.name, definition.heads.kv)
            length = "M" if field.name in heads else "N"
            values.append(
                (field.member, (f"{count} * {length} * {width}", f"{length} * {width}", str(width))[field.dim])
            )
        elif field.meaning is Meaning.STRIDE and field.ref is not None:
            values.append((field.member, _contiguous(field.ref, field.dim, definition)))
        elif field.meaning is Meaning.SIZE and field.ref is not None:
            values.append((field.member, _extent(field.ref, field.dim, definition)))
        elif field.meaning is Meaning.TILES_STRIDE:
            values.append((field.member, "0"))
        elif field.meaning in (Meaning.TILES, Meaning.SHARED):
            continue
        else:
            arguments.append(item)
            values.append((field.member, field.member))
    for ref in dict.fromkeys(field.ref for field in interface.fields if field.ref is not None):
        for dim in range(ref.rank):
            if ref.shape[dim] is None and any(size_member(ref, dim) in text for _, text in values):
                arguments.append(Member("int64_t ", size_member(ref, dim)))
    ends = [","] * (len(arguments) - 1) + [""]
    return (
        tuple(Member(x.type, x.name, x.comment, end) for x, end in zip(arguments, ends, strict=True)),
        tuple(values),
    )


def _extent(ref: TensorRef, dim: int, definition: Definition) -> str:
    size = ref.shape[dim]
    if size is None:
        return size_member(ref, dim)
    return {"H": str(definition.heads.q), "Hkv": str(definition.heads.kv)}.get(str(size), str(size))


def _contiguous(ref: TensorRef, dim: int, definition: Definition) -> str:
    sizes = [_extent(ref, later, definition) for later in range(dim + 1, ref.rank)]
    return " * ".join(size for size in sizes if size != "1") or "1"
