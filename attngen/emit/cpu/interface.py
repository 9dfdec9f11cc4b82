"""What an emitted C++ file and whoever calls it agree on: the layout of a call and the exported functions.

Every file exports, with C linkage:

    int64_t attngen_call_bytes(void)                          sizeof(Call), to check the layout against `Interface`
    int64_t attngen_items(const Call *)                       independent pieces of work, heavy ones first
    int64_t attngen_scratch(const Call *)                     bytes that one worker needs, aligned to 64
    void attngen_item(const Call *, int64_t item, void *scratch)
    int attention(...)                                        all of it in one thread, contiguous tensors

and where `Interface.split` is true, for keys that are cut into splits:

    int64_t attngen_shared(const Call *)                      bytes of partial results, aligned to 64: `Call.shared`
    int64_t attngen_final_items(const Call *)                 pieces of work once every item is done
    void attngen_final_item(const Call *, int64_t item, void *scratch)

Items write disjoint parts of out, lse and shared, keep no state, and may run in any order and in any thread;
results depend on neither. Scratch holds nothing between items. An empty output (B or M of 0) has 0 items.
A `Call` is a C struct of 8-byte members, so ``struct.pack(interface.format, *values)`` fills it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from attngen.expr.op import Expr, TensorRef

CTYPE = {"P": "const void *", "q": "int64_t", "d": "double"}
"""The letter of Python's `struct` module -> the C type. Numbers of 32 bits are passed in 64."""


class Meaning(Enum):
    """What to put into a member of `Call`; `Field.name` and `Field.dim` say of what."""

    DATA = "data"  # address of q, k, v, out, or lse (null when it is not wanted)
    TENSOR = "tensor"  # address of a tensor of the definition, derived ones included
    LENGTH = "length"  # B, M or N
    STRIDE = "stride"  # of q, k, v, out (dims 0, 1, 2) or a tensor, in elements; 0 where the size is 1
    SIZE = "size"  # of a tensor's dimension
    PARAM = "param"  # the number of the call
    TILES = "tiles"  # address of the int32 list: offsets, split or indices; all three null: every tile, masked
    TILES_STRIDE = "tiles_stride"  # of offsets or split, dims 0 and 1, in elements; 0 where the size is 1
    SHARED = "shared"  # address of attngen_shared bytes


@dataclass(frozen=True, slots=True)
class Field:
    """One member of `Call`: ``member`` is its name in C, ``letter`` its type (see `CTYPE`).

    ``name``: q, k, v, out, lse, B, M, N, offsets, split, indices, or that of a tensor or parameter.
    ``ref``: the tensor, for TENSOR and the strides and sizes of tensors (derived ones say how they are made).
    """

    member: str
    letter: str
    meaning: Meaning
    name: str
    dim: int = 0
    ref: TensorRef | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """``tensor`` must have 1 or at least each of ``lengths`` elements in dimension ``dim``.

    The lengths are expressions of B, M and N; the kernel reads there without a check.
    """

    tensor: TensorRef
    dim: int
    lengths: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Interface:
    """``dtype``: of q, k, v and out. lse is contiguous [B, Hq, M], fp32 (fp64 where ``dtype`` is)."""

    dtype: str
    fields: tuple[Field, ...]
    needs: tuple[Need, ...]
    tile_list: bool
    split: bool

    @property
    def format(self) -> str:
        """For `struct.pack`, in the order of ``fields``."""
        return "".join(field.letter for field in self.fields)
