"""What is compared with the oracle on a GPU: the examples, the whole vocabulary, lengths odd and long, decoding, GQA.

The plan is the planner's own, as a caller gets it. Most cases are small because the oracle is dense and in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import attngen as ag
from attngen.checking.check import problems
from attngen.checking.inputs import build
from attngen.checking.poison import LAYOUTS
from attngen.language import toml
from tests.gpu.device import Gpu
from tests.oracle.variants import MASKS, SCORES, spec

ROOT = Path(__file__).resolve().parents[2]
DTYPES = ("bf16", "fp16", "fp32")
SHORT = ((1, 17), (63, 85), (257, 300), (300, 257))
"""(queries, keys): a single one, less than a tile, several tiles and an odd rest, more queries than keys."""
DECODE = ((1, 1), (1, 1000), (2, 4097), (7, 513), (16, 300))
"""Up to 16 queries: the heads of a group share a tile."""
LONG = ((1024, 1024), (1000, 3001), (2048, 2048), (64, 16384), (1, 65537))
TREE_QUERIES = 17
"""The queries of a tree are its nodes; these examples check their number."""


@dataclass(frozen=True)
class GpuCase:
    """``make(m, n)`` gives the spec; ``more`` is for `attngen.checking.inputs.build`."""

    name: str
    make: Callable[[int, int], Any] = field(compare=False)
    lengths: tuple[tuple[int, int], ...]
    dtype: str
    batch: int = 2
    layout: str = "contiguous"
    more: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}-{self.dtype}"

    def run(self, device: Gpu, lengths: tuple[tuple[int, int], ...] | None = None) -> None:
        """Each length against the oracle, and the device's verdict on it."""
        for m, n in lengths or self.lengths:
            made = self.make(m, n)
            attention = ag.compile(made, target=device.target)
            case = build(made, self.batch, m, n, self.dtype, seed=m + n, layout=self.layout, **dict(self.more))
            wrong = problems(made, attention, case, self.layout, device.where)
            device.verdict([f"{self} B={self.batch} M={m} N={n}: {line}" for line in wrong])


def fixed(made: Any) -> Callable[[int, int], Any]:
    return lambda m, n: made


def masks() -> Iterator[GpuCase]:
    """Every entry of the vocabulary, at a head dimension that has tensor cores and descriptors."""
    for i, (name, make) in enumerate(MASKS.items()):
        for dtype in DTYPES:
            yield GpuCase(f"mask-{name}", lambda m, n, make=make: spec(make(m, n), dim=64), SHORT, dtype)
        packed = lambda m, n, make=make: spec(make(m, n), ag.alibi(), heads=(4, 1), dim=64)  # noqa: E731
        yield GpuCase(f"decode-{name}", packed, DECODE[1:4], DTYPES[i % 2])


def scores() -> Iterator[GpuCase]:
    for name, make in SCORES.items():
        for dtype in DTYPES:
            yield GpuCase(f"score-{name}", lambda m, n, make=make: spec(ag.causal(), make(m, n), dim=64), SHORT, dtype)
        huge = lambda m, n, make=make: spec(ag.causal(), make(m, n), dim=64)  # noqa: E731
        yield GpuCase(f"huge-logits-{name}", huge, SHORT[2:], "bf16", more=(("magnitude", 60.0),))


def normalizers() -> Iterator[GpuCase]:
    learned = torch.tensor([0.5, -3.0, 2.0, 8.0])
    for name in ("causal", "window", "nothing", "document_ids", "block_sparse"):
        for what, more in (
            ("off-by-one", {"sink": "off_by_one"}),
            ("sinks", {"sink": learned}),
            ("sigmoid", {"normalizer": ag.sigmoid(bias=-2.0)}),
        ):
            make = lambda m, n, name=name, more=more: spec(MASKS[name](m, n), dim=64, **more)  # noqa: E731
            yield GpuCase(f"{what}-{name}", make, SHORT, "bf16")


def examples() -> Iterator[GpuCase]:
    """Real heads and widths; two batches of odd lengths, and decoding where that means something."""
    for path in sorted((ROOT / "examples").glob("*.toml")):
        made = toml.load(path)
        tree = path.stem == "medusa_tree"
        lengths = ((TREE_QUERIES, 150),) if tree else ((70, 150), (257, 515), (1, 300))
        for dtype in (made.dtype,) if made.dtype else DTYPES[:2]:
            yield GpuCase(f"example-{path.stem}", fixed(made), lengths, dtype)


def widths_and_heads() -> Iterator[GpuCase]:
    cap = ag.softcap(5.0)
    for dim in (16, 32, 40, 64, 80, 96, 100, 128, (192, 128), (32, 80), 256):
        for dtype in DTYPES[:2]:
            make = fixed(spec(ag.causal() & ag.sliding_window(200), cap, dim=dim, heads=(4, 2)))
            yield GpuCase(f"width-{dim}", make, ((130, 300), (1, 300)), dtype)
    for q, kv in ((1, 1), (4, 4), (6, 2), (7, 1), (8, 1), (14, 2), (32, 8), (71, 1)):
        yield GpuCase(f"heads-{q}-{kv}", fixed(spec(ag.causal(), heads=(q, kv), dim=64)), (*DECODE, (65, 130)), "bf16")


def layouts() -> Iterator[GpuCase]:
    for layout in LAYOUTS:
        for name in ("causal", "document_ids", "block_sparse"):
            make = lambda m, n, name=name: spec(MASKS[name](m, n), ag.softcap(5.0), dim=64)  # noqa: E731
            yield GpuCase(f"layout-{layout}-{name}", make, ((33, 70), (150, 300)), "fp16", layout=layout)
    make = fixed(spec(ag.causal(), ag.alibi(), dim=64))
    yield GpuCase("one-key-batch", make, ((33, 50), (150, 300)), "fp16", more=(("kv_batch", 1),))


def long() -> Iterator[GpuCase]:
    """Many key tiles, many query tiles, and lengths that no 16-bit number holds; one head, for the oracle's sake."""
    for name in ("full", "causal", "window", "sink", "document_ids", "chunked", "strided", "bigbird", "vertical_slash"):
        for dim in (64, 128):
            make = lambda m, n, name=name, dim=dim: spec(MASKS[name](m, n), heads=(1, 1), dim=dim)  # noqa: E731
            yield GpuCase(f"long-{name}-{dim}", make, LONG, "bf16", batch=1)


GROUPS = (masks, scores, normalizers, examples, widths_and_heads, layouts, long)
CASES = tuple(case for group in GROUPS for case in group())
