"""Natural loops of a list of instructions, by dominators.

A backward jump alone is no loop: spin-waits on barriers jump back out of line, and what they jump to does
not dominate them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attngen.machine_code.instruction import Instruction


@dataclass(frozen=True, slots=True)
class NaturalLoop:
    """``body``: indices of its instructions, ascending. ``depth``: number of loops around it."""

    header: int
    body: tuple[int, ...]
    depth: int


@dataclass(frozen=True, slots=True)
class _Graph:
    """Basic blocks: ``starts[i]`` to ``starts[i + 1]`` is block i."""

    starts: tuple[int, ...]
    successors: tuple[tuple[int, ...], ...]
    predecessors: tuple[tuple[int, ...], ...]


def natural_loops(code: Sequence[Instruction]) -> tuple[NaturalLoop, ...]:
    """Every natural loop, in the order of their headers; loops with one header are one loop."""
    if not code:
        return ()
    graph = _blocks(code)
    dominators = _dominators(graph)
    bodies: dict[int, set[int]] = {}
    latches: dict[int, int] = {}
    for block, dominated_by in dominators.items():
        for header in graph.successors[block]:
            if dominated_by >> header & 1:
                bodies.setdefault(header, {header}).update(_reaching(block, header, graph))
                latches[header] = max(latches.get(header, 0), block)
    found = []
    for header, blocks in sorted(bodies.items()):
        # blocks beyond the last jump back are spin-waits that were moved out of line: they seldom run. A loop
        # that was rotated jumps forward to its header, and has none
        last = latches[header] if latches[header] >= header else max(blocks)
        inside = [block for block in sorted(blocks) if block <= last]
        body = tuple(i for block in inside for i in range(graph.starts[block], graph.starts[block + 1]))
        depth = sum(header in other and blocks < other for other in bodies.values())
        found.append(NaturalLoop(graph.starts[header], body, depth))
    return tuple(found)


def _blocks(code: Sequence[Instruction]) -> _Graph:
    heads = {0, len(code)}
    for i, item in enumerate(code):
        if item.jump is not None or not item.falls:
            heads.add(i + 1)
        if item.jump is not None:
            heads.add(item.jump)
    starts = tuple(sorted(heads))
    block_of = {start: block for block, start in enumerate(starts)}
    count = len(starts) - 1
    successors: list[tuple[int, ...]] = []
    predecessors: list[list[int]] = [[] for _ in range(count)]
    for block in range(count):
        last = code[starts[block + 1] - 1]
        following = [] if last.jump is None or last.jump == len(code) else [block_of[last.jump]]
        if last.falls and block + 1 < count:
            following.append(block + 1)
        successors.append(tuple(dict.fromkeys(following)))
        for other in successors[-1]:
            predecessors[other].append(block)
    return _Graph(starts, tuple(successors), tuple(map(tuple, predecessors)))


def _dominators(graph: _Graph) -> dict[int, int]:
    """For every reachable block the bit set of the blocks that every way to it passes."""
    order = _reverse_postorder(graph)
    everything = (1 << len(graph.successors)) - 1
    dominators = dict.fromkeys(order, everything)
    dominators[0] = 1
    changed = True
    while changed:
        changed = False
        for block in order[1:]:
            common = everything
            for before in graph.predecessors[block]:
                common &= dominators.get(before, everything)
            common |= 1 << block
            if common != dominators[block]:
                dominators[block], changed = common, True
    return dominators


def _reverse_postorder(graph: _Graph) -> list[int]:
    order: list[int] = []
    seen = {0}
    stack = [(0, iter(graph.successors[0]))]
    while stack:
        block, rest = stack[-1]
        following = next((other for other in rest if other not in seen), None)
        if following is None:
            order.append(block)
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(graph.successors[following])))
    return order[::-1]


def _reaching(block: int, header: int, graph: _Graph) -> set[int]:
    """The blocks from which ``block`` is reached without passing ``header``."""
    found: set[int] = set()
    todo = [block]
    while todo:
        other = todo.pop()
        if other not in found and other != header:
            found.add(other)
            todo.extend(graph.predecessors[other])
    return found
