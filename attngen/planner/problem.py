"""What the planner needs to know of one variant at one call class."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.errors import PlanError, did_you_mean
from attngen.expr.op import Op
from attngen.language.definition import Blocks, Definition

ELEMENT_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4, "fp64": 8}
NOMINAL_LENGTH = 8192
"""Lengths that are not given count as this: a long prefill."""
DECODE_ROWS = 128
"""Up to this many (query, head of the group) rows a kernel packs the group into the tile."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A definition, its dtype, and the class of lengths it is planned for.

    ``tile_ops`` and ``exp_ops``: extra instructions and extra transcendentals an element that the
    score costs in every tile; ``mask_ops``: extra instructions of masked tiles alone.
    ``has_row_vectors``: hoisted per-row or per-column vectors are live through the loop.
    """

    definition: Definition
    dtype: str
    seqlen_q: int | None = None
    seqlen_kv: int | None = None
    batch: int = 1
    blocks: Blocks | None = None
    tile_ops: int = 0
    has_row_vectors: bool = False
    exp_ops: int = 0
    mask_ops: int = 2

    def __post_init__(self) -> None:
        if self.dtype not in ELEMENT_BYTES:
            raise PlanError(
                f"no kernels for dtype `{self.dtype}`",
                place="dtype",
                remedy=did_you_mean(str(self.dtype), ELEMENT_BYTES),
            )
        for name, length in (("seqlen_q", self.seqlen_q), ("seqlen", self.seqlen_kv)):
            if length is not None and (not isinstance(length, int) or not 1 <= length < 2**31):
                raise PlanError(f"{length!r} is no length", place=name, remedy="use an integer from 1 to 2147483647")

    @property
    def element_bytes(self) -> int:
        return ELEMENT_BYTES[self.dtype]

    @property
    def tensor_cores(self) -> bool:
        """IEEE fp32 products have no tensor-core instruction; tf32, fp16 and bf16 do."""
        return self.dtype != "fp32" or self.definition.tf32

    @property
    def mma_kind(self) -> str:
        """The key of a target's MMA rates."""
        return "tf32" if self.dtype == "fp32" else self.dtype

    @property
    def masked(self) -> bool:
        mask = self.definition.mask
        return not (mask.op is Op.CONST and mask.value is True)

    @property
    def query_rows(self) -> int:
        return self.seqlen_q if self.seqlen_q is not None else NOMINAL_LENGTH

    @property
    def key_rows(self) -> int:
        return self.seqlen_kv if self.seqlen_kv is not None else max(NOMINAL_LENGTH, self.seqlen_q or 0)

    @property
    def pack(self) -> int:
        """Query heads that share a tile: the group rounded up to a power of two for few queries, else 1.

        A decoding step then reads each key once for the whole group instead of once a head.
        """
        group = self.definition.heads.group
        packed = 1 << (group - 1).bit_length()
        rows = self.blocks.q if self.blocks is not None and self.blocks.q is not None else self.seqlen_q
        if self.seqlen_q is None or max(rows or 1, self.seqlen_q) * packed > DECODE_ROWS:
            return 1
        return packed

    @property
    def pinned(self) -> bool:
        """Whether the spec fixes a tile size."""
        return self.blocks is not None and (self.blocks.q is not None or self.blocks.kv is not None)
