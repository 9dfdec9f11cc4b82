"""Random cases of the whole language: each is a small value, the same for one (seed, index) for ever."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from attngen.fuzz.expressions import Tree
from attngen.fuzz.grow import Grower
from attngen.fuzz.vocabulary import MASKS, SCORES, Names

Node = list[Any]
"""["vocabulary", source], ["mod", tree], ["text", tree], ["~", node], or [sign, node, node] with & | ^."""

HEADS = ((1, 1), (2, 1), (2, 1), (2, 2), (3, 1), (3, 3), (4, 1), (4, 2), (6, 2), (8, 1))
DIMS = ((16, 16), (16, 16), (32, 32), (32, 32), (8, 8), (24, 24), (40, 40), (64, 64), (80, 80), (96, 96), (100, 100),
        (32, 16), (24, 40), (48, 64), (72, 16))  # fmt: skip
LENGTHS = (1, 2, 3, 5, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 80, 96, 101)
BLOCKS = (None, 16, 16, 32, 32, 64)
LAYOUTS = ("contiguous", "contiguous", "transposed", "gapped", "strided", "unaligned")


@dataclass(frozen=True)
class Range:
    """What the cases of one way of running are drawn from.

    ``shapes_a_spec``: that many neighbouring indices share a spec, so that its kernel is compiled once.
    ``most_tiles``: (query tile, key tile, head, batch) visits of one case; ``most_pairs``: of (query, key, head,
    batch), which the oracle computes one by one.
    """

    shapes_a_spec: int
    dtypes: tuple[str, ...]
    targets: tuple[str, ...]
    lengths: tuple[int, ...]
    most_tiles: int
    most_pairs: int


INTERPRETED = Range(
    shapes_a_spec=3,
    dtypes=("fp32", "fp16", "bf16"),
    targets=("h100", "h100", "h100", "a100", "a100", "b200", "mi300x"),
    lengths=LENGTHS,
    most_tiles=16,  # the interpreter takes some milliseconds for each
    most_pairs=2**31,
)
NATIVE = Range(
    shapes_a_spec=20,  # compiling takes as long as some tens of calls
    dtypes=("fp32", "fp32", "fp16", "bf16", "bf16", "fp64"),
    targets=("cpu", "cpu", "cpu", "avx2", "sse"),
    lengths=(*LENGTHS, 127, 128, 129, 191, 193, 255, 257, 300, 511, 640),
    most_tiles=2**31,
    most_pairs=250_000,
)


def range_of(backend: str | None) -> Range:
    return NATIVE if backend == "cpu" else INTERPRETED


@dataclass(frozen=True)
class Case:
    """A spec and one call of it. Everything is JSON; sources are Python over ``ag`` and the tensors' names."""

    heads: tuple[int, int] = (1, 1)
    dim: tuple[int, int] = (16, 16)
    dtype: str = "fp32"
    pinned_dtype: bool = False
    mask: Node | None = None
    scores: list[Node] = field(default_factory=list)
    scale: str | None = None
    normalizer: str | None = None
    sink: str | None = None
    blocks: tuple[int | None, int | None] = (None, None)
    target: str = "h100"
    params: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
    declared: dict[str, tuple[list[int | str], str]] = field(default_factory=dict)
    batch: int = 1
    m: int = 16
    n: int = 16
    kv_batch: int | None = None
    layout: str = "contiguous"
    magnitude: float = 1.0
    seed: int = 0

    def record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Case:
        """The case again, from its record or what JSON made of that."""
        pairs: dict[str, Any] = {name: tuple(record[name]) for name in ("heads", "dim", "blocks") if name in record}
        declared = {name: (list(shape), dtype) for name, (shape, dtype) in record.get("declared", {}).items()}
        return cls(**{**record, **pairs, "declared": declared})


def random_case(seed: int, index: int, drawn_from: Range = INTERPRETED) -> Case:
    """Case ``index`` of the stream ``seed``."""
    number, shape = divmod(index, drawn_from.shapes_a_spec)
    spec = _spec(np.random.default_rng([seed, number]), drawn_from)
    return _call(np.random.default_rng([seed, number, 1 + shape]), spec, drawn_from)


def random_mask(rng: np.random.Generator, names: Names, depth: int) -> Node:
    """A tree of masks, ``depth`` signs high at most."""
    if depth > 0 and rng.random() < 0.5:
        sign = names.some("&", "&", "&", "|", "|", "^", "~")
        return [sign, *(random_mask(rng, names, depth - 1) for _ in range(1 if sign == "~" else 2))]
    kind = rng.random()
    if kind < 0.6:
        return ["vocabulary", MASKS[names.some(*MASKS)](names)]
    callable_ = kind < 0.8
    return ["mod" if callable_ else "text", _grower(rng, names, callable_).boolean(int(rng.integers(1, 4)))]


def random_scores(rng: np.random.Generator, names: Names, count: int) -> list[Node]:
    """That many steps; after one that drops keys only entries of the vocabulary, which keep -inf or bound it."""
    steps: list[Node] = []
    masking = False
    for _ in range(count):
        if masking or rng.random() < 0.6:
            steps.append(["vocabulary", SCORES[names.some(*SCORES)](names)])
            continue
        callable_, masking, depth = rng.random() < 0.5, rng.random() < 0.15, int(rng.integers(1, 3))
        grower = _grower(rng, names, callable_)
        tree = grower.masking_step(depth) if masking else grower.step(depth)
        steps.append(["mod" if callable_ else "text", tree])
    return steps


def _grower(rng: np.random.Generator, names: Names, callable_: bool) -> Grower:
    """Trees for a callable read captured tensors, trees for a text declared ones, lengths and parameters."""

    def some(*sizes: int | str) -> int | str:
        return sizes[int(rng.integers(len(sizes)))]

    letter = {"b": "B", "h": "H", "q": "M", "kv": "N"}

    def length(subscript: Tree) -> int | str:
        """A dimension: 1 broadcasts; an index, and what else is known to be in range, must find its length."""
        if isinstance(subscript, int):
            return subscript + 1
        if rng.random() < 0.15:
            return 1
        if isinstance(subscript, str) and subscript in letter:
            return letter[subscript]
        return some("M", "N", 7, 7, 80)  # mostly too short: the subscript is clamped

    def captured(kind: str, subscripts: list[Tree]) -> str:
        shape = [length(item) for item in subscripts]
        if kind == "bool":
            return names.captured("flags", *shape)
        if kind == "int":
            return names.captured("numbers", *shape, low=names.some(0, -3), high=names.some(2, 40))
        return names.captured("normal", *shape, dtype=names.some('"float32"', '"float32"', '"float16"'))

    def declared(kind: str, subscripts: list[Tree]) -> str:
        dtype = {"bool": "bool", "int": names.some("int32", "int64"), "float": "fp32"}[kind]
        return names.declare([length(item) for item in subscripts], dtype)

    leaves = ["q", "kv", "b", "h"]
    if not callable_:
        leaves += ["M", "N"] + ([names.param("int32")] if rng.random() < 0.3 else [])
    return Grower(rng, tuple(leaves), captured if callable_ else declared)


def random_sources(rng: np.random.Generator) -> Case:
    """The spec of a case, as one call of any length would have it."""
    return _spec(rng, INTERPRETED)


def _spec(rng: np.random.Generator, drawn_from: Range) -> Case:
    heads = HEADS[rng.integers(len(HEADS))]
    names = Names(rng, heads)
    mask = None if rng.random() < 0.08 else random_mask(rng, names, int(rng.choice(4, p=[0.3, 0.3, 0.25, 0.15])))
    scores = random_scores(rng, names, int(rng.choice(4, p=[0.3, 0.4, 0.2, 0.1])))
    normalizer = sink = None
    kind = rng.random()
    if kind < 0.1:
        normalizer = f"ag.sigmoid({names.some('-1.0', 'bias=0.5', repr(names.some('-log(N)', '-log(N) + 1')))})"
    elif kind < 0.35:
        sink = names.some('"off_by_one"', names.captured("normal", "H"), repr(names.declare(["H"], "fp32")))
    scale = None if rng.random() < 0.8 else names.some("0.3", "1.0", repr(names.param("float32")))
    dtype = names.some(*drawn_from.dtypes)
    blocks = (None, None) if rng.random() < 0.3 else (names.some(*BLOCKS), names.some(*BLOCKS))
    case = Case(
        heads=heads,
        dim=DIMS[rng.integers(len(DIMS))],
        dtype=dtype,
        pinned_dtype=bool(rng.random() < 0.3) and dtype != "fp64",
        mask=mask,
        scores=scores,
        scale=scale,
        normalizer=normalizer,
        sink=sink,
        blocks=blocks,
        target=names.some(*drawn_from.targets),
        params=names.params,
        tensors=names.tensors,
        declared=names.declared,
    )
    return pruned(case)


def _call(rng: np.random.Generator, spec: Case, drawn_from: Range) -> Case:
    """The spec with the lengths and tensors of one call, small enough for who runs it."""

    def some(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    tile_q, tile_kv = spec.blocks[0] or 64, spec.blocks[1] or 64
    case = spec
    for _ in range(20):
        batch = some(1, 1, 2)
        case = replace(
            spec,
            batch=batch,
            m=some(*drawn_from.lengths, 1, 4, 16),
            n=some(*drawn_from.lengths, 65, 101),
            kv_batch=1 if batch > 1 and rng.random() < 0.25 else None,
            layout=some(*LAYOUTS),
            magnitude=some(1.0, 1.0, 30.0),
            seed=int(rng.integers(1000)),
        )
        tiles = -(-case.m // tile_q) * -(-case.n // tile_kv) * case.heads[0] * batch
        if tiles <= drawn_from.most_tiles and case.m * case.n * case.heads[0] * batch <= drawn_from.most_pairs:
            return case
    return replace(case, batch=1, kv_batch=None, m=min(case.m, 17), n=min(case.n, 33))


def pruned(case: Case) -> Case:
    """Without the parameters and tensors that nothing uses."""
    from attngen.fuzz.script import words

    used = words(case)
    return replace(
        case,
        params={name: dtype for name, dtype in case.params.items() if name in used},
        tensors={name: source for name, source in case.tensors.items() if name in used},
        declared={name: shape for name, shape in case.declared.items() if name in used},
    )


def trees_of(node: Node | None) -> list[Tree]:
    """The expressions of callables and texts in a tree of masks, or of a score."""
    if node is None or node[0] == "vocabulary":
        return []
    if node[0] in ("mod", "text"):
        return [node[1]]
    return [tree for part in node[1:] for tree in trees_of(part)]
