"""The kernel's arguments as Triton would specialise them for the launcher's tensors.

Taken from what the emitter was told to print, never from the printed text.
"""

from __future__ import annotations

from dataclasses import dataclass

from attngen.emit.triton import Origin, make_view
from attngen.emit.view import ArgumentView
from attngen.language.definition import HeadDim
from attngen.pipeline import Generated

_ALIGNMENT = 16
_TYPES = {
    "bool": "i1", "int32": "i32", "int64": "i64", "float32": "fp32", "fp32": "fp32", "fp16": "fp16", "bf16": "bf16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class KernelArgument:
    """``type`` in Triton's words; ``constant``: the launcher's value is 1, which Triton compiles in.

    ``divisible``: a multiple of 16, so that Triton may use wide and asynchronous loads.
    """

    name: str
    type: str
    divisible: bool
    constant: bool = False


def kernel_signature(made: Generated) -> tuple[KernelArgument, ...]:
    """One entry a runtime argument, in order, for contiguous tensors whose lengths are multiples of 16."""
    view = make_view(made.graph, made.schedule, made.gpu_plan, Origin("", "", "", False))
    return tuple(_argument(item, made.definition.head_dim) for item in view.arguments)


def _argument(item: ArgumentView, head_dim: HeadDim) -> KernelArgument:
    if item.type.startswith("*"):
        return KernelArgument(item.name, f"*{_TYPES[item.type[1:]]}", item.specialize)
    kind = _TYPES[item.type]
    if not item.specialize:
        return KernelArgument(item.name, kind, False)
    rows = {"stride_q": head_dim.qk, "stride_k": head_dim.qk, "stride_v": head_dim.v, "stride_o": head_dim.v}
    row = rows.get(item.name[:-1])
    if row is None:  # the last stride of a contiguous table
        return KernelArgument(item.name, kind, False, constant=True)
    # a row's stride is its width; strides over heads and batches also hold the length
    return KernelArgument(item.name, kind, item.name[-1] not in "mn" or row % _ALIGNMENT == 0)
