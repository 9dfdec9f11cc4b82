"""FlexAttention callables as users write them, beside plain causal: time a visited pair, native, one thread.

``python -m benchmarks.callables`` (``--write`` puts the table into docs/flexattention.md). A callable is in causal's
speed class when a pair of its visited tiles takes at most twice as long; what takes longer has its own arithmetic
named: what is computed or gathered for each pair.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

import attngen as ag
from attngen.expr.axis import Axis, axes
from attngen.expr.op import LEAVES, Op, walk
from attngen.graph.node import AttentionOp
from attngen.pipeline import generate
from attngen.runtime.native.isa import detect
from benchmarks.timing import interleaved, load
from tests.flex import masks, mods
from tests.support.marks import write_part

PAGE = Path(__file__).resolve().parents[1] / "docs" / "flexattention.md"
N, HEADS, DIM, CLASS = 2048, 4, 64, 2.0
_TRANSCENDENTAL = "EXP EXP2 LOG LOG2 LOG1P TANH SIN COS TAN ERF SIGMOID"
COSTLY = {
    **{Op[name]: "transcendental" for name in _TRANSCENDENTAL.split()},
    **{Op[name]: "division" for name in "DIV SQRT RSQRT FLOORDIV MOD".split()},
    Op.LOAD: "gather",
}


@dataclass(frozen=True, slots=True)
class Row:
    """``ns``: of a pair of visited tiles. ``own``: costly operations for each pair, by kind."""

    name: str
    visited: float
    masked: float
    ns: float
    ratio: float
    own: str


def _random(low: int, high: int, *shape: int) -> torch.Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(3), dtype=torch.int32)


def the_masks() -> dict[str, Any]:
    offsets = torch.tensor([0, 300, 301, 900, 1500, N])
    topk = _random(0, N // 64, 1, HEADS, N // 64, 8)
    return {
        "causal": masks.causal,
        "sliding_window": masks.sliding_window(256),
        "prefix_lm": masks.prefix_lm(512),
        "doc_mask": masks.documents(masks.causal, offsets),
        "packed_causal_doc": masks.packed_causal_documents(offsets),
        "shared_prefix": masks.shared_prefix(offsets, torch.tensor([0, 0, 2, 0, 1])),
        "global_sliding_window": masks.global_sliding_window(128, torch.arange(N) % 512 == 0),
        "dilated_sliding_window": masks.dilated_sliding_window(256, 4),
        "batchify": masks.batchify(masks.causal, 256),
        "natten": masks.natten(masks.row_major(64), 64, 32, 13, 13),
        "tiled_natten": masks.natten(masks.tile_major(64, 8, 8), 64, 32, 13, 13),
        "morton_natten": masks.natten(masks.morton, 64, 32, 13, 13),
        "sta_2d": masks.sliding_tiles((32, 56), (16, 24), (8, 8), text=256),
        "svg_spatial": masks.svg_spatial(128, 240, 2, sink=True, multiple=128),
        "svg_temporal": masks.svg_temporal(128, 8, 240, 2),
        "flamingo": masks.flamingo(torch.tensor([[0, 500], [200, 900], [800, 1700], [1500, N]]), N // 4),
        "block_diffusion": masks.block_diffusion(N // 2, 32),
        "vsa": masks.vsa(topk, 64),
        "square_window": masks.square_window(64, 6),
    }


def the_mods() -> dict[str, Any]:
    spatial, edge = torch.randn(HEADS, 9), torch.randn(HEADS, 3, 5)
    rope_q, rope_k = torch.randn(1, HEADS, N, 16), torch.randn(1, 1, N, 16)
    return {
        "alibi": mods.alibi(HEADS),
        "relative": lambda score, b, h, q, k: score + (q - k),
        "tanh_softcap": mods.tanh_softcap(20.0),
        "sandwich": mods.sandwich(HEADS, N, 32, torch.float32),
        "graphormer_spatial": mods.graphormer_spatial(spatial, _random(0, 9, 1, N, N)),
        "graphormer_edge": mods.graphormer_edge(edge, _random(0, 5, 1, N, N, 3), _random(0, 4, 1, N, N)),
        "gelu": mods.activation(),
        "relu": mods.activation(F.relu),
        "mla_rope": mods.mla_rope(rope_q, rope_k, HEADS, 0.5),
        "causal_as_a_score": lambda score, b, h, q, k: torch.where(q >= k, score, -float("inf")),
    }


def specs() -> dict[str, ag.AttentionSpec]:
    """Scores are timed under the causal mask, as a decoder would have them."""
    made = {name: ag.AttentionSpec(name, HEADS, DIM, mask=mask) for name, mask in the_masks().items()}
    scores = {
        name: ag.AttentionSpec(name, HEADS, DIM, mask=masks.causal, score=mod) for name, mod in the_mods().items()
    }
    return made | scores


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k, v, the same in every process."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, N, DIM, generator=generator) for _ in range(3))
    return q, k, v


def own_arithmetic(spec: ag.AttentionSpec) -> str:
    """Costly operations for each pair: in the score always, in the mask on partial tiles."""
    graph = generate(spec, detect(None).arch, dtype="fp32").graph
    told = []
    for what, op in (("score", AttentionOp.SCORE), ("mask", AttentionOp.MASK)):
        node = graph.get(op)
        if node is None or node.expr is None:
            continue
        axis = axes(node.expr, row_heads=False)
        pairs = [item for item in walk(node.expr) if item.op not in LEAVES or item.op is Op.LOAD]
        kinds = Counter(COSTLY.get(item.op, "") for item in pairs if axis[item] is Axis.BOTH)
        told += [f"{count} {kind}{'s' if count > 1 else ''} in the {what}" for kind, count in kinds.items() if kind]
        plain = kinds.get("", 0)
        told += [f"{plain} plain in the {what}"] if plain > 3 else []
    return ", ".join(told)


def rows(names: list[str], rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    q, k, v = inputs()
    chosen = {name: spec for name, spec in specs().items() if name == "causal" or not names or name in names}
    calls, counts = {}, {}
    for name, spec in chosen.items():
        attend = ag.compile(spec, backend="cpu")
        attend(q, k, v)
        plan = next(iter(attend.loaded.values())).emitted.plan
        tiles = ag.schedule(spec, q_tile=plan.block_q, kv_tile=plan.grain)
        counts[name] = tiles.counts(N, params={}, tensors=dict(spec.captured)), plan.block_q * plan.grain
        calls[name] = _call(attend, q, k, v)
    times = interleaved(calls, rounds)

    def ns(name: str) -> float:
        count, tile = counts[name]
        return times[name].cpu_ms * 1e6 / ((count.tiles_full + count.tiles_partial) * tile)

    made = []
    for name, spec in chosen.items():
        count = counts[name][0]
        visited = count.tiles_full + count.tiles_partial
        share = visited / count.tiles_total
        each = ns(name)
        made.append(
            Row(name, share, count.tiles_partial / max(1, visited), each, each / ns("causal"), own_arithmetic(spec))
        )
    return made


def _call(attend: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Callable[[], object]:
    out = torch.empty_like(q)
    return lambda: attend(q, k, v, out=out)


def table(made: list[Row], rounds: int) -> str:
    lines = [
        f"{N} tokens, {HEADS} heads of {DIM}, fp32, one thread of a {detect(None).arch} processor, median of {rounds} "
        f"interleaved rounds of CPU time, load {load()}.\n",
        "| callable | visited tiles | of them masked | ns a pair | beside causal | its own arithmetic for each pair |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in made:
        lines.append(
            f"| {row.name} | {row.visited:.0%} | {row.masked:.0%} | {row.ns:.2f} | {row.ratio:.2f} | {row.own or '-'} |"
        )
    beyond = [row.name for row in made if row.ratio > CLASS]
    lines.append(f"\nBeyond {CLASS:g} times: {', '.join(beyond) or 'none'}.\n")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write docs/flexattention.md")
    given = parser.parse_args()
    text = table(rows(given.names, given.rounds), given.rounds)
    print(text)
    if given.write:
        write_part(PAGE, "speed", text)


if __name__ == "__main__":
    main()
