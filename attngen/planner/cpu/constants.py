"""Constants of the CPU cost model that are fitted to a recorded sweep (`make fit-cpu` writes fitted.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class CpuConstants:
    """In slots: the time in which a core starts one vector multiply-add. `docs/plans.md` has the formulas.

    ``wait``: a sum waits so long for its own last multiply-add. ``sharpness``: exponent of the norm that puts
    arithmetic, loads and wait of a micro-tile together. ``drain``: way in and out of a micro-tile. ``turn``: a
    vector of the output read, shrunk and written back. ``softmax``: a vector of scores, without ``operation``
    and ``transcendental`` of the score itself, and without ``masking``: each operation of a mask. ``widen``: a
    vector of 16-bit keys or values made reals; ``pair``: a vector of values laid out for products of pairs.
    ``near`` and ``far``: a vector of data from the second-level cache, and from behind it; ``again``: a line of values
    that a micro-tile finds no more in the first. ``visit``: a key
    tile at all, ``item``: a query tile at all, ``row``: a vector of queries or output transposed. In decoding, ``key``:
    a multiply-add; ``reading``: keys and values in turns, in times of reading as much in one sequence; ``late``: share
    of that which is waited for, by every doubling or halving of the distance at which keys are asked for from that of
    a page; ``idle``: the same for a tile as large as the first-level cache; ``split``: a split at all. ``call``:
    microseconds of a call, Python's included.
    """

    wait: float
    sharpness: float
    drain: float
    turn: float
    softmax: float
    operation: float
    transcendental: float
    masking: float
    widen: float
    pair: float
    near: float
    again: float
    far: float
    visit: float
    item: float
    row: float
    key: float
    reading: float
    late: float
    idle: float
    split: float
    call: float


@lru_cache(maxsize=1)
def fitted_cpu() -> CpuConstants:
    """The constants of fitted.toml."""
    text = resources.files("attngen.planner.cpu").joinpath("fitted.toml").read_text(encoding="utf-8")
    return CpuConstants(**tomllib.loads(text)["constants"])
