"""The launcher's side of tensors and parameters: keywords, checks, and tensors derived from others."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from attngen.emit.arguments import shape_text
from attngen.emit.triton_dialect import PYTHON
from attngen.emit.view import CallArgument
from attngen.expr.axis import Axis
from attngen.expr.build import length
from attngen.expr.op import Derived, TensorRef
from attngen.expr.printer import Printer
from attngen.graph.guard import Needs
from attngen.language.definition import Definition

TORCH_DTYPE = {
    "bool": "torch.bool", "int32": "torch.int32", "int64": "torch.int64",
    "fp32": "torch.float32", "fp16": "torch.float16", "bf16": "torch.bfloat16",
}  # fmt: skip

_SEGMENTS = ("segment_first", "segment_last", "segment_last_exact")


@dataclass(frozen=True, slots=True)
class Host:
    """Finished texts: one check a tensor, statements that derive tensors, names of the functions they call."""

    call: tuple[CallArgument, ...]
    checks: tuple[str, ...]
    derived: tuple[str, ...]
    helpers: tuple[str, ...]


def host_side(
    definition: Definition, used: list[TensorRef], needs: Needs, printer: Printer, *, tile_list: bool, descriptors: bool
) -> Host:
    """``used``: the tensors that the kernel reads; ``needs``: lengths that they must have."""
    given = [ref for ref in definition.tensors if ref.derived is None]
    for ref in used:
        given += [source for source in _sources(ref) if source not in given]
    call = [CallArgument(ref.name, "", f"tensor [{shape_text(ref)}], {ref.dtype}.") for ref in given]
    for param in definition.params:
        call.append(CallArgument(param.name, "", "int." if param.dtype == "int32" else "float."))
    if tile_list:
        doc = "which key tiles exist: int32 (offsets, split, indices); None visits all of them."
        call.append(CallArgument("tiles", "None", doc))
    checks = _checks(given, needs, definition, _launcher_names(printer, definition.heads.q))
    derived, helpers = _derived(used)
    helpers += ["check_tensor"] * bool(checks) + ["every_tile"] * tile_list + ["describable"] * descriptors
    return Host(tuple(call), tuple(checks), tuple(derived), tuple(helpers))


def _launcher_names(printer: Printer, heads: int) -> Printer:
    """A printer of lengths as the launcher calls them."""
    launcher = {"M": "m", "N": "n", "B": "batch", "H": str(heads)}
    names = dict(printer.scope.names) | {length(letter): (text, Axis.TILE) for letter, text in launcher.items()}
    return Printer(PYTHON, dataclasses.replace(printer.scope, names=names))


def _sources(ref: TensorRef) -> list[TensorRef]:
    if ref.derived is None:
        return [ref]
    return [item for source in ref.derived.sources for item in _sources(source)]


def _checks(given: list[TensorRef], needs: Needs, definition: Definition, host: Printer) -> list[str]:
    """One call of check_tensor a tensor, with the lengths that the kernel reads and None where it clamps."""
    letters = {"B": "batch", "H": str(definition.heads.q), "Hkv": str(definition.heads.kv), "M": "m", "N": "n"}
    lines = []
    for ref in given:
        wanted: list[str] = []
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
        name = ref.derived.sources[0].name
        if ref.derived.recipe in _SEGMENTS:  # one host call gives the three of them
            same = {r.derived.recipe: r for r in used if r.derived is not None and _siblings(r.derived, ref.derived)}
            names = ", ".join(same[recipe].name if recipe in same else "_" for recipe in _SEGMENTS)
            made.update(same.values())
            helpers["segment_bounds"] = None
            lines.append(f"{name}_bounds = segment_bounds({name}, m, n, aligned={bool(ref.derived.options[0])})")
            lines.append(f"{names} = {name}_bounds")
            return
        made.add(ref)
        helpers[ref.derived.recipe] = None
        lines.append(f"{ref.name} = {ref.derived.recipe}({name}, m, n)")

    for ref in used:
        make(ref)
    return lines, list(helpers)


def _siblings(a: Derived, b: Derived) -> bool:
    return a.recipe in _SEGMENTS and (a.sources, a.options) == (b.sources, b.options)
