"""A schedule against its mask at every pair: the tiles that a mask needs, by brute force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr
from attngen.tiling import enumerate as enumeration
from attngen.tiling.call import Call
from attngen.tiling.schedule import Schedule


def dense(mask: Expr, call: Call, b: int, h: Any, keys: Any = None) -> np.ndarray[Any, Any]:
    """The mask at every pair [M, N] of one batch and of one or several heads (the last axis)."""
    heads, keys = np.atleast_1d(h), np.arange(call.N) if keys is None else keys
    index = {
        "b": np.array(b),
        "h": heads,
        "q": np.arange(call.M)[:, None, None],
        "kv": keys[None, :, None],
    }
    env = Env(index, call.lengths, call.params, None, call.arrays([mask]))
    return np.broadcast_to(evaluate(mask, env), (call.M, len(keys), len(heads)))


def needed(mask: Expr, call: Call, q_tile: int, kv_tile: int, b: int, h: Any) -> tuple[Any, Any]:
    """(some pair is kept, every pair is kept) for each tile, rows and keys beyond the end left out."""
    kept = dense(mask, call, b, h)
    rows, columns = -(-call.M // q_tile), -(-call.N // kv_tile)
    some = np.zeros((rows * q_tile, columns * kv_tile), np.bool_)
    every = np.ones_like(some)
    some[: call.M, : call.N], every[: call.M, : call.N] = kept.any(axis=2), kept.all(axis=2)
    shape = (rows, q_tile, columns, kv_tile)
    return some.reshape(shape).any(axis=(1, 3)), every.reshape(shape).all(axis=(1, 3))


@dataclass
class Verdict:
    """``unsound``: what is wrong, "" if nothing. Tiles: visited, needed, visited in vain, full but masked."""

    unsound: str
    needed: int
    wasted: int
    full: int
    full_missed: int


def judge(schedule: Schedule, call: Call, b: int, h: int, *, inverse: bool = False) -> Verdict:
    """The schedule's tiles against the mask at every pair."""
    got = enumeration.tiles(schedule, call, b=b, h=h, inverse=inverse)
    heads = np.arange(h * call.heads_a_tile, (h + 1) * call.heads_a_tile)
    some, every = needed(schedule.mask, call, schedule.q_tile, schedule.kv_tile, b, heads)
    whole = every.copy()
    if inverse and call.M % schedule.q_tile:
        whole[-1] = False
    if not inverse and call.N % schedule.kv_tile:
        whole[:, -1] = False
    problems = {
        "a tile is visited twice": got > enumeration.FULL,
        "a tile with kept pairs is not visited": some & (got == enumeration.EMPTY),
        "a full tile has a dropped pair or reaches beyond the end": (got == enumeration.FULL) & ~whole,
    }
    wrong = [f"{text} at {tuple(np.argwhere(where)[0])}" for text, where in problems.items() if where.any()]
    return Verdict(
        "; ".join(wrong),
        int(some.sum()),
        int(((got > 0) & ~some).sum()),
        int((whole & some).sum()),
        int(((got == enumeration.PARTIAL) & whole & some).sum()),
    )
