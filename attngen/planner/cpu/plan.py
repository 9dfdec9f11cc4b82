"""A plan for a CPU: values only. `candidates` makes them, `feasibility` judges, `cost` prices, `choose` ranks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CpuPlan:
    """How one variant is cut for one CPU.

    A vector holds ``lanes`` reals. A query tile has ``block_m`` rows, a key tile at most ``block_n`` keys: the loops
    over keys begin and end at multiples of ``grain`` keys, and what is left is a shorter tile. ``q_tiles`` query
    tiles share each key tile that was read. The product
    with K goes by micro-tiles of ``micro_m`` vectors of rows by ``micro_n`` keys that stay in registers, the
    one with V by ``micro_m`` vectors by ``micro_d`` columns (in decoding: ``micro_d`` vectors of the output in
    all). With ``pack`` > 1 a row is a (query, head) pair. ``dot``: bf16 pairs are multiplied as they are;
    otherwise 16-bit keys and values are widened, a tile at a time. ``decode``: the kernel for few rows, which
    cuts the keys into splits of ``split_keys`` and asks for keys ``prefetch`` rows ahead. ``predicted_us``: of
    one call in one thread; ``limit``: what most of it goes into. ``reasons``: one line each, for people.
    """

    target: str
    arch: str
    dtype: str
    lanes: int
    q_tiles: int
    block_m: int
    block_n: int
    grain: int
    micro_m: int
    micro_n: int
    micro_d: int
    pack: int
    dot: bool
    decode: bool
    split_keys: int
    prefetch: int
    predicted_us: float = 0.0
    limit: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def block_q(self) -> int:
        """Queries a tile."""
        return self.block_m // self.pack

    @property
    def real_bytes(self) -> int:
        """Of one number in a vector."""
        return 8 if self.dtype == "fp64" else 4

    @property
    def element_bytes(self) -> int:
        """Of one number in a tensor."""
        return 2 if self.dtype in ("bf16", "fp16") else self.real_bytes

    @property
    def widened(self) -> bool:
        """Whether 16-bit keys and values are made reals before they are multiplied."""
        return self.dtype in ("bf16", "fp16") and not self.dot

    @property
    def groups(self) -> int:
        """Micro-tiles below each other in a query tile."""
        return self.block_m // (self.micro_m * self.lanes)
