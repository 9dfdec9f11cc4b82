"""The tile schedule as values: which key tiles a query tile visits, and which of them need the mask."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.expr.op import Expr


@dataclass(frozen=True, slots=True)
class Bound:
    """A scalar the sweeps need, computed once a query tile from the rows of the tile.

    ``expr`` depends on b, h, lengths, params and (for min and max) on q; ``reduce`` is "uniform",
    "min" or "max" over the rows of the tile. Sweeps refer to it as a Named leaf ``name``.
    """

    name: str
    expr: Expr
    reduce: str


@dataclass(frozen=True, slots=True)
class Interval:
    """Key tiles lo, lo + step, ... below hi. Both are integers of the query tile, lengths, params, bounds."""

    lo: Expr
    hi: Expr
    step: int = 1


@dataclass(frozen=True, slots=True)
class Sweep:
    """Disjoint intervals, in ascending order, all with or all without the mask. ``why`` is one line for a reader."""

    masked: bool
    intervals: tuple[Interval, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which tiles exist, symbolically.

    ``sweeps``: closed-form loops (empty when ``tile_list``). The query tile number is the Named leaf
    `QUERY_TILE`. ``tile_list``: the tiles come from a list built at the call (CSR, partial then full
    tiles of each query tile). ``bound_check``: partial tiles must also test kv < N.
    ``empty``: nothing is kept at all. ``why_list``: why there is no closed form.
    """

    q_tile: int
    kv_tile: int
    mask: Expr
    bounds: tuple[Bound, ...]
    sweeps: tuple[Sweep, ...]
    tile_list: bool
    bound_check: bool
    empty: bool
    why_list: str = ""


QUERY_TILE = "q_tile"
