"""What a template may see: finished texts and tuples of them. No decision is left to take.

Texts of several statements are joined by newlines without indentation; the template indents them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """A power-of-two slice of a head dimension. ``dims`` names its index vector; ``first`` is its first
    element and ``start`` the same as a summand ("" for 0); ``valid`` is the bound that a padded slice must
    test ("" when it is exact)."""

    name: str
    dims: str
    width: int
    first: str
    start: str
    valid: str


@dataclass(frozen=True, slots=True)
class LoopView:
    """One loop over key tiles. ``setup`` runs before it, ``start`` defines the first key of the tile.

    ``overlap``: the product with V is one tile late; ``first_key`` and ``last_key`` bound the loop.
    ``guard_pivot``: a row may have met no finite score yet, so the maximum needs a finite stand-in.
    """

    why: str
    setup: str
    header: str
    start: str
    masked: bool
    uses_offsets: bool
    uses_bound: bool
    columns: str
    score: str
    keep: str
    guard_pivot: bool
    pivot: str
    overlap: bool
    first_key: str
    last_key: str


@dataclass(frozen=True, slots=True)
class ArgumentView:
    """A runtime argument of the kernel. ``value``: its expression in the launcher; ``comment``: shape or unit.

    ``type``: "*" and a dtype for a pointer, else int32 or float32. ``specialize``: Triton may make another
    kernel when an integer is 1 or a multiple of 16.
    """

    name: str
    value: str
    type: str
    comment: str = ""
    specialize: bool = True


@dataclass(frozen=True, slots=True)
class CallArgument:
    """A keyword of the launcher beyond q, k and v: a tensor or a scalar."""

    name: str
    annotation: str
    doc: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything `forward.py.j2` prints."""

    docstring: str
    torch_dtype: str
    heads: int
    kv_heads: int
    group: int
    head_dim_qk: int
    head_dim_v: int
    block_m: int
    block_n: int
    block_q: int
    num_warps: int
    num_stages: int
    pack: int
    packed: bool
    lane_head: str
    plain: bool
    descriptors: bool
    pointers: bool
    k_transposed: str
    reverse: bool
    input_precision: str
    plan_items: tuple[tuple[str, str], ...]
    helpers: tuple[str, ...]
    host_helpers: tuple[str, ...]
    arguments: tuple[ArgumentView, ...]
    not_specialized: tuple[str, ...]
    call_arguments: tuple[CallArgument, ...]
    checks: tuple[str, ...]
    derived: str
    tile_list: bool
    chunks_qk: tuple[Chunk, ...]
    chunks_v: tuple[Chunk, ...]
    first_chunk: Chunk
    more_chunks: tuple[Chunk, ...]
    dims: tuple[Chunk, ...]
    prologue: str
    loops: tuple[LoopView, ...]
    softmax: bool
    sigmoid: bool
    sink: str
    factor: str
    offset: str
    strided: tuple[str, ...]
