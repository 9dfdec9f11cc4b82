"""Random masks, and the tiles they need by evaluating every pair: what the schedule is checked against."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from attngen.checking.tiles import Verdict as Verdict
from attngen.checking.tiles import dense as dense
from attngen.checking.tiles import judge as judge
from attngen.checking.tiles import needed as needed
from attngen.expr.build import B_IDX, H_IDX, KV_IDX, M_LEN, N_LEN, Q_IDX, TRUE, const, load, make, param
from attngen.expr.op import Expr, Op, Param, TensorRef
from attngen.language.proxy import Proxy
from attngen.tiling.call import Call

CASES = int(os.environ.get("ATTNGEN_FUZZ_CASES", "2000"))
"""Number of (mask, M, N, tile sizes) cases of the fuzz test."""

LENGTHS = (1, 17, 63, 64, 77, 128, 200, 333, 500, 1000)
TILES = ((16, 16), (128, 64), (64, 32), (32, 128), (64, 64), (16, 128), (128, 32), (32, 16), (48, 80))
BATCH, HEADS = 2, 4

b, h, q, kv, M, N = (Proxy(leaf) for leaf in (B_IDX, H_IDX, Q_IDX, KV_IDX, M_LEN, N_LEN))
pos = q + (N - M)
W, S, P = (Proxy(param(Param(name, "int32"))) for name in ("W", "S", "P"))


def tensor(name: str, dtype: str, *shape: int | str) -> Callable[..., Proxy]:
    """A tensor to be indexed by calling it."""
    ref = TensorRef(name, dtype, shape)
    return lambda *at: Proxy(load(ref, [item.expr if isinstance(item, Proxy) else const(item) for item in at]))


ids = tensor("ids", "int32", "B", "N")
windows = tensor("windows", "int32", "H")
q_lengths, kv_lengths = tensor("q_lengths", "int32", "B"), tensor("kv_lengths", "int32", "B")
row_starts, row_flags = tensor("row_starts", "int32", "M"), tensor("row_flags", "bool", "M")
key_flags, tile_map = tensor("key_flags", "bool", "B", "N"), tensor("tile_map", "bool", 16, 16)


@dataclass
class Case:
    """A mask and how to judge it. ``loose``: data may make the closed form visit more than it needs."""

    name: str
    mask: Expr
    loose: bool = False


def clamp(x: Proxy, low: int, high: int) -> Proxy:
    return Proxy(make(Op.MAX, make(Op.MIN, x.expr, const(high)), const(low)))


def neighborhood(at: Proxy, key: Proxy, length: int, width: int) -> Proxy:
    start = clamp(at - width // 2, 0, length - width)
    return (start <= key) & (key < start + width)


def grid(width: int, window: int) -> Proxy:
    return neighborhood(pos // width, kv // width, 20, window) & neighborhood(pos % width, kv % width, width, window)


def swin(width: int, window: int) -> Proxy:
    return (pos // width // window == kv // width // window) & (pos % width // window == kv % width // window)


def bigbird(block: int, seed: int) -> Proxy:
    bq, bk = pos // block, kv // block
    hashed = (bq % 32749 * 7919 + seed) % 32749
    return (bq == bk) | (bk < 1) | (bk == hashed * hashed % 32749 % ((N + (block - 1)) // block))


def _families(rng: np.random.Generator) -> dict[str, Callable[[], Proxy]]:
    """One mask of each kind, with random numbers."""

    def some(*values: int) -> int:
        return int(rng.choice(values))

    n = some(1, 5, 16, 64, 100, 128, 200, 256)
    w = some(1, 3, 20, 64, 100, 129, 300)
    return {
        "full": lambda: Proxy(TRUE),
        "causal": lambda: kv <= pos,
        "causal, top left": lambda: kv <= q,
        "window": lambda: (pos - kv < w) & (pos >= kv),
        "window, raw": lambda: (q - kv < w) & (q >= kv),
        "window, both sides": lambda: (pos - kv <= w) & (kv - pos <= some(0, 7, 64)),
        "window W": lambda: (pos - kv < W) & (pos >= kv),
        "sink": lambda: kv < some(1, 4, 64, 70),
        "sink S": lambda: kv < S,
        "prefix": lambda: (kv < n) | (kv <= pos),
        "prefix P": lambda: (kv < P) | (kv <= pos),
        "chunked": lambda: pos // n == kv // n,
        "chunked, raw": lambda: q // n == kv // n,
        "block causal": lambda: kv // n <= pos // n,
        "dilated": lambda: (pos - kv) % some(2, 3, 7) == 0,
        "strided": lambda: (kv <= pos) & ((pos - kv < n) | ((pos - kv) % n == 0)),
        "fixed": lambda: (kv <= pos) & ((pos // n == kv // n) | (kv % n >= n - some(1, 2, n))),
        "global": lambda: (kv < w) | (pos < w),
        "documents": lambda: ids(b, pos) == ids(b, kv),
        "documents, raw": lambda: ids(b, q) == ids(b, kv),
        "windows of heads": lambda: (kv <= pos) & (pos - kv < windows(h)),
        "lengths": lambda: (q < q_lengths(b)) & (kv < kv_lengths(b)),
        "row starts": lambda: (kv >= row_starts(q)) & (kv <= pos),
        "row flags": lambda: row_flags(q) | (kv < w),
        "key flags": lambda: key_flags(b, kv),
        "block map": lambda: tile_map(q // 64, kv // 64),
        "bigbird": lambda: bigbird(some(16, 64), some(1, 2, 3)),
        "neighborhood 1-D": lambda: neighborhood(pos, kv, some(100, 500), some(3, 13, 99)),
        "neighborhood 2-D": lambda: grid(some(8, 20, 32), some(3, 5)),
        "swin": lambda: swin(some(14, 16, 20), some(4, 7)),
    }


LOOSE = {"documents", "documents, raw", "row starts", "row flags"}
SIMPLE = ["causal", "causal, top left", "window", "window, raw", "sink", "chunked", "dilated", "window W", "sink S",
          "documents", "lengths", "windows of heads", "global", "key flags"]  # fmt: skip


def random_case(rng: np.random.Generator) -> Case:
    """A mask of the vocabulary, or two or three joined at random."""
    families = _families(rng)
    if rng.random() < 0.6:
        name = str(rng.choice(list(families)))
        return Case(name, families[name]().expr, name in LOOSE)
    names = [str(name) for name in rng.choice(SIMPLE, int(rng.integers(2, 4)))]
    out, text = families[names[0]](), names[0]
    for name in names[1:]:
        other = families[name]()
        if rng.random() < 0.25:
            other, name = ~other, f"~({name})"
        sign = rng.choice(["&", "&", "|", "^"], p=[0.35, 0.35, 0.25, 0.05])
        out = out & other if sign == "&" else out | other if sign == "|" else out ^ other
        text = f"({text}) {sign} {name}"
    return Case(text, out.expr, any(name in LOOSE for name in names))


def random_call(rng: np.random.Generator, m: int, n: int) -> Call:
    """Parameters and data. Half of the documents are sorted, as packed ones are."""
    documents = rng.integers(0, int(rng.integers(1, 7)), (BATCH, n)).astype(np.int32)
    if rng.random() < 0.5:
        documents = np.sort(documents, axis=1)
    return Call(
        m,
        n,
        BATCH,
        HEADS,
        {"W": int(rng.integers(1, 300)), "S": int(rng.integers(0, 200)), "P": int(rng.integers(0, 300))},
        {
            "ids": documents,
            "windows": rng.integers(1, 400, HEADS).astype(np.int32),
            "q_lengths": rng.integers(0, m + 1, BATCH).astype(np.int32),
            "kv_lengths": rng.integers(0, n + 30, BATCH).astype(np.int32),
            "row_starts": np.sort(rng.integers(-5, n, m)).astype(np.int32),
            "row_flags": rng.random(m) < 0.02,
            "key_flags": rng.random((BATCH, n)) < 0.9,
            "tile_map": rng.random((16, 16)) < 0.4,
        },
    )


@dataclass
class Tally:
    """Sums over many verdicts, a list of the unsound ones."""

    unsound: list[str] = field(default_factory=list)
    cases: int = 0
    needed: int = 0
    wasted: int = 0
    full: int = 0
    full_missed: int = 0

    def add(self, verdict: Verdict, text: str) -> None:
        self.cases += 1
        self.needed += verdict.needed
        self.wasted += verdict.wasted
        self.full += verdict.full
        self.full_missed += verdict.full_missed
        if verdict.unsound:
            self.unsound.append(f"{text}: {verdict.unsound}")
