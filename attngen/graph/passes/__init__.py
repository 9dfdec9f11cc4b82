"""The passes, in order. Each takes a legal graph and returns a legal graph; `legality` is checked between them."""

from __future__ import annotations

from collections.abc import Callable

from attngen.graph import legality
from attngen.graph.node import AttentionGraph
from attngen.graph.passes.fold_constants import fold_constants
from attngen.graph.passes.fold_scale import fold_scale
from attngen.graph.passes.guard_loads import guard_loads
from attngen.graph.passes.hoist import hoist
from attngen.graph.passes.infer_types import infer_types
from attngen.graph.passes.match_template import match_template
from attngen.graph.passes.reduce_strength import reduce_strength
from attngen.graph.passes.separate import separate
from attngen.graph.passes.split_mask import split_mask

Pass = Callable[[AttentionGraph], AttentionGraph]


def passes(*, row_heads: bool, precise: bool) -> tuple[Pass, ...]:
    """``row_heads``: the rows of a tile belong to several heads. ``precise``: fp32 inputs, so fp32 functions."""

    def reduce_strength_(graph: AttentionGraph) -> AttentionGraph:
        return reduce_strength(graph, precise=precise)

    def separate_(graph: AttentionGraph) -> AttentionGraph:
        return separate(graph, row_heads=row_heads, precise=precise)

    def hoist_(graph: AttentionGraph) -> AttentionGraph:
        return hoist(graph, row_heads=row_heads)

    return (
        infer_types,
        fold_constants,
        split_mask,  # before separate: the schedule reads the mask as the user wrote it
        fold_scale,  # before reduce_strength: tanh(c * s) takes the factor into its exp2
        reduce_strength_,
        separate_,  # after it: distributing may need the factors that it introduced
        guard_loads,  # before hoist: it must see whole index expressions
        hoist_,
        match_template,
    )


def run_passes(graph: AttentionGraph, *, row_heads: bool = False, precise: bool = False) -> AttentionGraph:
    """The whole list, checked after every pass."""
    done = ["build"]
    legality.check(graph, done)
    for step in passes(row_heads=row_heads, precise=precise):
        graph = step(graph)
        done.append(step.__name__.rstrip("_"))
        legality.check(graph, done)
    return graph
