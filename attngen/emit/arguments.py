"""The arguments of the kernel, and what the launcher passes and checks for each."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.emit.names import kernel_name, size_name, stride_name
from attngen.emit.view import ArgumentView, CallArgument
from attngen.expr.op import Derived, Expr, Op, TensorRef, tensors, walk
from attngen.expr.printer import Printer
from attngen.graph.guard import Needs
from attngen.language.definition import Definition, Softmax

TORCH_DTYPE = {
    "bool": "torch.bool", "int32": "torch.int32", "int64": "torch.int64",
    "fp32": "torch.float32", "fp16": "torch.float16", "bf16": "torch.bfloat16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arguments:
    """Everything about arguments that the view needs, as finished texts."""

    kernel: tuple[ArgumentView, ...]
    not_specialized: tuple[str, ...]
    call: tuple[CallArgument, ...]
    checks: tuple[str, ...]
    derived: str
    host_helpers: tuple[str, ...]


def collect_arguments(
    definition: Definition, exprs: list[Expr], needs: Needs, host: Printer, *, tile_list: bool
) -> Arguments:
    """``exprs``: all that the kernel evaluates; ``host``: prints lengths in the launcher."""
    used = tensors(*exprs)
    sink = definition.normalizer.sink if isinstance(definition.normalizer, Softmax) else None
    if isinstance(sink, TensorRef) and sink not in used:
        used.append(sink)
    sizes = [node.value for node in walk(*exprs) if node.op is Op.SIZE]
    given = [ref for ref in definition.tensors if ref.derived is None]
    for ref in used:
        given += [source for source in _sources(ref) if source not in given]

    kernel = [
        ArgumentView("Q", "q", f"[B, {definition.heads.q}, M, {definition.head_dim.qk}]", True),
        ArgumentView("K", "k", f"[B, {definition.heads.kv}, N, {definition.head_dim.qk}]", True),
        ArgumentView("V", "v", f"[B, {definition.heads.kv}, N, {definition.head_dim.v}]", True),
        ArgumentView("Out", "out", f"[B, {definition.heads.q}, M, {definition.head_dim.v}]", True),
    ]
    if isinstance(definition.normalizer, Softmax):
        kernel.append(ArgumentView("Lse", "lse", f"[B, {definition.heads.q}, M], natural log", True))
    for name, tensor, row in (("q", "q", "m"), ("k", "k", "n"), ("v", "v", "n"), ("o", "out", "m")):
        for i, letter in enumerate(("b", "h", row)):
            kernel.append(ArgumentView(f"stride_{name}{letter}", f"{tensor}_strides[{i}]", "", True))
    kernel += [
        ArgumentView("M", "m", "queries", False),
        ArgumentView("N", "n", "keys", False),
    ]
    if any(node.op is Op.LENGTH and node.value == "B" for node in walk(*exprs)):
        kernel.append(ArgumentView("B", "batch", "batch size", False))
    parameters = {node.value for node in walk(*exprs) if node.op is Op.PARAM}
    for param in definition.params:
        if param in parameters:
            kernel.append(ArgumentView(kernel_name(param.name), param.name, f"{param.dtype}", False))
    for ref in used:
        name = kernel_name(ref.name)
        kernel.append(ArgumentView(name, ref.name, f"[{_shape(ref)}] {ref.dtype}", True))
        for dim in range(ref.rank):
            if ref.shape[dim] == 1:
                continue
            # rows of a table are as long as a sequence: only the last stride may specialise the kernel
            last = dim == ref.rank - 1
            kernel.append(ArgumentView(stride_name(ref, dim), f"{ref.name}_strides[{dim}]", "", last))
            if (ref, dim) in sizes:
                kernel.append(ArgumentView(size_name(ref, dim), f"{ref.name}.shape[{dim}]", "", False))
    if tile_list:
        kernel += [
            ArgumentView("tile_offsets", "tile_offsets", "[B or 1, H or 1, query tiles + 1]: into tile_indices", True),
            ArgumentView("tile_split", "tile_split", "[B or 1, H or 1, query tiles]: masked tiles end here", True),
            ArgumentView("tile_indices", "tile_indices", "key tiles: masked ones, then full ones", True),
            ArgumentView("stride_lb", "tile_offsets_strides[0]", "", False),
            ArgumentView("stride_lh", "tile_offsets_strides[1]", "", False),
            ArgumentView("stride_sb", "tile_split_strides[0]", "", False),
            ArgumentView("stride_sh", "tile_split_strides[1]", "", False),
        ]
    call = [CallArgument(ref.name, "", f"tensor [{_shape(ref)}], {ref.dtype}.") for ref in given]
    call += [CallArgument(param.name, "", f"{'int' if param.dtype == 'int32' else 'float'}.") for param in definition.params]
    if tile_list:
        call.append(
            CallArgument("tiles", "None", "which key tiles exist: int32 (offsets, split, indices); None visits all of them.")
        )
    derived, helpers = _derived(used)
    return Arguments(
        kernel=tuple(kernel),
        not_specialized=tuple(item.name for item in kernel if not item.specialize),
        call=tuple(call),
        checks=tuple(_checks(given, used, needs, definition, host)),
        derived="\n".join(derived),
        host_helpers=tuple(helpers),
    )


def _sources(ref: TensorRef) -> list[TensorRef]:
    if ref.derived is None:
        return [ref]
    return [item for source in ref.derived.sources for item in _sources(source)]


def _shape(ref: TensorRef) -> str:
    return ", ".join("?" if dim is None else str(dim) for dim in ref.shape)


def _checks(
    given: list[TensorRef], used: list[TensorRef], needs: Needs, definition: Definition, host: Printer
) -> list[str]:
    """One call of check_tensor a tensor; a tuple of the lengths that the kernel reads, None where it clamps."""
    from attngen.expr.axis import Axis

    letters = {"B": "batch", "H": str(definition.heads.q), "Hkv": str(definition.heads.kv), "M": "m", "N": "n"}
    lines = []
    for ref in [*given, *(item for item in used if item not in given and item.derived is None)]:
        wanted = []
        for dim, size in enumerate(ref.shape):
            lengths = [host.text(need, Axis.TILE) for need in needs.get((ref, dim), ())]
            if size is not None and size != 1:
                lengths.insert(0, letters.get(str(size), str(size)))
            lengths = list(dict.fromkeys(lengths))
            wanted.append("None" if not lengths else lengths[0] if len(lengths) == 1 else f"max({', '.join(lengths)})")
        text = f"({', '.join(wanted)}{',' if len(wanted) == 1 else ''})"
        lines.append(f'check_tensor("{ref.name}", {ref.name}, {text}, {TORCH_DTYPE[ref.dtype]}, q.device)')
    return lines


def _derived(used: list[TensorRef]) -> tuple[list[str], list[str]]:
    """Statements that make the derived tensors, in order of need, and the host functions that they call."""
    lines: list[str] = []
    helpers: dict[str, None] = {}
    made: set[TensorRef] = set()

    def make(ref: TensorRef) -> None:
        if ref.derived is None or ref in made:
            return
        for source in ref.derived.sources:
            make(source)
        source = ref.derived.sources[0].name
        if ref.derived.recipe in _SEGMENTS:  # one host call gives the three of them
            same = {r.derived.recipe: r for r in used if r.derived is not None and _siblings(r.derived, ref.derived)}
            names = ", ".join(same[recipe].name if recipe in same else "_" for recipe in _SEGMENTS)
            made.update(same.values())
            helpers["segment_bounds"] = None
            lines.append(f"{source}_bounds = segment_bounds({source}, m, n, aligned={bool(ref.derived.options[0])})")
            lines.append(f"{names} = {source}_bounds")
            return
        made.add(ref)
        helpers[ref.derived.recipe] = None
        lines.append(f"{ref.name} = {ref.derived.recipe}({source}, m, n)")

    for ref in used:
        make(ref)
    return lines, list(helpers)


_SEGMENTS = ("segment_first", "segment_last", "segment_last_exact")


def _siblings(a: Derived, b: Derived) -> bool:
    return a.recipe in _SEGMENTS and (a.sources, a.options) == (b.sources, b.options)
