"""A failing case made small: one part at a time is dropped or simplified while the failure stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from attngen.fuzz.cases import Case, Node, pruned
from attngen.fuzz.expressions import Tree, is_const, parts
from attngen.runtime.tensors import is_native

Fails = Callable[[Case], bool]


def shrink(case: Case, fails: Fails, seconds: float = 60.0) -> Case:
    """The smallest case found in that time for which ``fails`` is still true."""
    end = time.monotonic() + seconds
    progress = True
    while progress:
        progress = False
        for smaller in simpler(case):
            if time.monotonic() > end:
                return case
            if smaller != case and fails(smaller):
                case, progress = smaller, True
                break
    return case


def simpler(case: Case) -> Iterator[Case]:
    """Cases with one thing less, the largest steps first."""
    if case.mask is not None:
        yield pruned(replace(case, mask=None))
    for i in range(len(case.scores)):
        yield pruned(replace(case, scores=case.scores[:i] + case.scores[i + 1 :]))
    for name in ("sink", "normalizer", "scale"):
        if getattr(case, name) is not None:
            yield pruned(_with(case, name, None))
    yield from _sizes(case)
    if case.mask is not None:
        for node in _smaller_nodes(case.mask):
            yield pruned(replace(case, mask=node))
    for i, step in enumerate(case.scores):
        for node in _smaller_nodes(step):
            yield pruned(replace(case, scores=[*case.scores[:i], node, *case.scores[i + 1 :]]))


def _with(case: Case, name: str, value: Any) -> Case:
    return Case.of({**case.record(), name: value})


def _sizes(case: Case) -> Iterator[Case]:
    target = "cpu" if is_native(case.target) else "h100"
    plain = {
        "layout": "contiguous", "kv_batch": None, "batch": 1, "magnitude": 1.0, "dtype": "fp32",
        "pinned_dtype": False, "blocks": (None, None), "target": target, "dim": (16, 16), "heads": (1, 1), "seed": 0,
    }  # fmt: skip
    for name, value in plain.items():
        if getattr(case, name) != value:
            yield _with(case, name, value)
    if case.heads[0] != case.heads[1]:
        yield replace(case, heads=(case.heads[0] // case.heads[1], 1))
    if case.blocks != (None, None):
        yield replace(case, blocks=(16, 16))
    for name in ("m", "n"):
        size = getattr(case, name)
        for less in (1, size // 2, size - 16, size - 1):
            if 1 <= less < size:
                yield _with(case, name, less)


def _smaller_nodes(node: Node) -> Iterator[Node]:
    """A part in place of the whole, or the whole with a smaller part."""
    if node[0] == "vocabulary":
        return
    if node[0] in ("mod", "text"):
        for tree in _smaller_trees(node[1]):
            if not is_const(tree):
                yield [node[0], tree]
        return
    yield from node[1:]
    for i in range(1, len(node)):
        for part in _smaller_nodes(node[i]):
            yield [*node[:i], part, *node[i + 1 :]]


def _smaller_trees(tree: Tree) -> Iterator[Tree]:
    """Operands in place of the operation. A tree of the wrong kind is an error of its own, and not kept."""
    if not isinstance(tree, list):
        if isinstance(tree, int) and abs(tree) > 1:
            yield 1
        return
    start = len(tree) - len(parts(tree))
    yield from tree[start:]
    for i in range(start, len(tree)):
        for part in _smaller_trees(tree[i]):
            yield [*tree[:i], part, *tree[i + 1 :]]
