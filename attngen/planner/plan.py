"""A plan: how one variant is cut for one target. Values only; `choose` makes them, `feasibility` judges them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from attngen.planner.candidates import Candidate


@dataclass(frozen=True, slots=True)
class Plan:
    """Tile sizes and launch shape of the forward kernel.

    ``block_m`` rows a tile; with ``pack`` > 1 a row is a (query, head) pair and a tile holds
    block_m // pack queries, ``pack`` being the GQA group rounded up to a power of two.
    ``chunks_qk`` and ``chunks_v``: powers of two that cover the head dimensions (96 -> (64, 32), or
    (128,) padded). ``descriptors``: K and V tiles come through tensor descriptors (TMA).
    ``overlap``: the product with V of one tile runs while the exponentials of the next one do.
    ``reasons``: one line each, for people. ``registers`` and ``shared_bytes`` are estimates.
    """

    target: str
    arch: str
    dtype: str
    block_m: int
    block_n: int
    num_warps: int
    num_stages: int
    pack: int
    chunks_qk: tuple[int, ...]
    chunks_v: tuple[int, ...]
    descriptors: bool
    overlap: bool
    registers: int
    shared_bytes: int
    occupancy: int
    predicted_us: float
    limit: str
    reasons: tuple[str, ...]

    @property
    def block_q(self) -> int:
        """Queries a tile."""
        return self.block_m // self.pack

    @property
    def grain(self) -> int:
        """Keys that loops begin and end at multiples of: those of a tile."""
        return self.block_n

    @property
    def candidate(self) -> Candidate:
        """The point of the space that this plan was made of."""
        return Candidate(**{field.name: getattr(self, field.name) for field in fields(Candidate)})
