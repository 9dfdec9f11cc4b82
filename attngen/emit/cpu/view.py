"""What a C++ template may see: finished texts and tuples of them. No decision is left to take.

Texts of several statements are joined by newlines without indentation; the template indents them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct or an argument: "const float *", "slopes", what it is. ``comma`` follows an argument."""

    type: str
    name: str
    comment: str = ""
    comma: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One vector of rows, or one key, or one column, of a micro-tile: its number as a suffix of names."""

    i: int
    offset: str = ""
    comma: str = ""


@dataclass(frozen=True, slots=True)
class Dims:
    """A run of columns of V, from ``first`` to ``last`` in micro-tiles of ``step`` columns."""

    first: int
    last: int
    step: int
    lanes: tuple[Lane, ...]


@dataclass(frozen=True, slots=True)
class RangeView:
    """The ``i``-th range of key tiles: from ``first`` to ``last`` by ``step``, and how many make one visit."""

    i: int
    first: str
    last: str
    step: int
    together: int


@dataclass(frozen=True, slots=True)
class SweepView:
    """One sweep: ``setup`` comes before its ranges."""

    why: str
    setup: str
    ranges: tuple[RangeView, ...]
    masked: str


@dataclass(frozen=True, slots=True)
class BoundView:
    """A scalar that sweeps need, reduced over the rows of the tile: ``body`` computes the ``value`` of a row."""

    name: str
    type: str
    first: str
    body: str
    value: str
    reduce: str


@dataclass(frozen=True, slots=True)
class Sum:
    """The i-th sum over columns, of one row and key; ``offset``: where the queries of the row start, as a summand."""

    i: int
    offset: str


@dataclass(frozen=True, slots=True)
class DecodeKey:
    """One key of a vector of scores: ``at`` is its number in the tile; ``zeros`` declares its sums."""

    i: int
    at: str
    zeros: str
    sums: tuple[Sum, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Sums ``a`` and ``b`` become one vector of the halves of both."""

    distance: int
    a: int
    b: int


@dataclass(frozen=True, slots=True)
class OutSum:
    """An accumulator of the output: a row and a vector of columns; ``out``: where it lies in a part, as a summand."""

    name: str
    row: int
    column: int
    out: str


@dataclass(frozen=True, slots=True)
class Block:
    """Columns of two rows of V as pairs, in two vectors: their numbers, and where the columns begin as a summand."""

    offset: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Run:
    """Vectors of columns of V, from ``first`` to ``last`` by ``step``; ``some``: columns of an incomplete one, or 0.

    ``blocks``: the same vectors as they are read where bf16 is multiplied in pairs. ``ahead``: the first rows that
    read the values ask for those to come.
    """

    first: int
    last: int
    step: int
    some: int
    lanes: tuple[Lane, ...]
    blocks: tuple[Block, ...]
    rows: tuple[int, ...]
    sums: tuple[OutSum, ...]
    ahead: bool


@dataclass(frozen=True, slots=True)
class DecodeView:
    """What only `decode.cpp.j2` prints. ``qk_whole``: columns in whole vectors, ``qk_rest`` beyond them.

    ``next_key``: the rotation that brings the weight of the next key to a lane.
    """

    split_tiles: int
    prefetch: int
    keys: tuple[DecodeKey, ...]
    tree: tuple[Step, ...]
    runs: tuple[Run, ...]
    qk_whole: int
    qk_rest: int
    first_sum: str
    next_key: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything `forward.cpp.j2` and `decode.cpp.j2` print. ``lane_row``: the row of lane i.

    ``tiles``: what the query tiles of an item are made of. ``v_skipped``: the place of a later key, as a summand.
    ``joined``: ranges of unmasked key tiles whose rest goes with the masked ones, of which ``unmasked`` is the first.
    ``apart``: products are stored and scored in a loop of their own, in all tiles or only in masked ones.
    """

    comment: str
    structs: tuple[str, ...]
    element: str
    real: str
    whole: str
    lanes: int
    block_m: int
    block_n: int
    at_most: str
    grain: int
    block_q: int
    qk_dim: int
    v_dim: int
    q_rows: int
    q_layout: str
    q_left: str
    out_rows: int
    scaled_words: str
    times_scale: str
    times_inverse: str
    k_type: str
    v_type: str
    v_skipped: str
    heads: int
    kv_heads: int
    group: int
    item_heads: int
    item_words: str
    row_item: str
    q_tiles: int
    tiles: str
    sweeps: int
    unmasked: int
    joined: tuple[int, ...]
    list_head: str
    packed: bool
    row_head: bool
    lane_row: str
    key_type: str
    dot: bool
    widened: bool
    odd_width: bool
    softmax: bool
    members: tuple[Member, ...]
    helpers: tuple[str, ...]
    tile_members: tuple[Member, ...]
    tile_values: str
    row_members: tuple[Member, ...]
    row_values: str
    key_members: tuple[Member, ...]
    key_values: str
    score: str
    keep: str
    apart: bool
    apart_always: bool
    apart_masked: bool
    scored_here: bool
    tops_here: bool
    sink: str
    micro_m: int
    micro_n: int
    step_m: str
    vectors: tuple[Lane, ...]
    keys: tuple[Lane, ...]
    dims: tuple[Dims, ...]
    bounds: tuple[BoundView, ...]
    uniform_bounds: str
    loops: tuple[SweepView, ...]
    listed: bool
    entry: tuple[Member, ...]
    entry_values: tuple[tuple[str, str], ...]
    decode: DecodeView | None
