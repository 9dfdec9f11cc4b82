"""A layered top-down layout of a directed acyclic graph: layers, crossings, coordinates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import networkx as nx

Point = tuple[float, float]
_Links = dict[Hashable, tuple[list[Hashable], list[Hashable]]]
_SWEEPS = 8
_PULLS = 40


@dataclass(frozen=True, slots=True)
class Layout:
    """``nodes``: centre of each node. ``edges``: the way of each (source, target), from top to bottom."""

    nodes: dict[Hashable, Point]
    edges: dict[tuple[Hashable, Hashable], tuple[Point, ...]]
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Bend:
    """Stands in a layer that an edge crosses, so that the edge gets room of its own."""

    edge: tuple[Hashable, Hashable]
    layer: int


def layout(
    graph: nx.MultiDiGraph, widths: Mapping[Hashable, float], heights: Mapping[Hashable, float], gaps: Point
) -> Layout:
    """Place ``graph``. Sizes of nodes and the ``gaps`` between neighbours and layers are in the units that come back.

    Equal graphs get equal layouts.
    """
    layer_of = _layers(graph)
    layers, links = _with_bends(graph, layer_of)
    _reduce_crossings(layers, links)
    x = _coordinates(layers, links, widths, gaps[0])
    left = min((x[item] - _width(item, widths) / 2 for item in x), default=0.0)
    right = max((x[item] + _width(item, widths) / 2 for item in x), default=0.0)
    middles, height = [], 0.0
    for items in layers:
        tallest = max((heights[item] for item in items if not isinstance(item, _Bend)), default=0.0)
        middles.append(height + tallest / 2)
        height += tallest + gaps[1]

    def place(item: Hashable) -> Point:
        layer = item.layer if isinstance(item, _Bend) else layer_of[item]
        return x[item] - left, middles[layer]

    edges = {}
    for source, target in dict.fromkeys((edge[0], edge[1]) for edge in graph.edges()):
        bends = [_Bend((source, target), layer) for layer in range(layer_of[source] + 1, layer_of[target])]
        edges[source, target] = tuple(place(item) for item in (source, *bends, target))
    return Layout({node: place(node) for node in graph}, edges, right - left, max(0.0, height - gaps[1]))


def _layers(graph: nx.MultiDiGraph) -> dict[Hashable, int]:
    """Longest path from a source; then sources sink to just above their first user."""
    layer: dict[Hashable, int] = {}
    order = list(nx.topological_sort(graph))
    for node in order:
        layer[node] = max((layer[source] + 1 for source in graph.predecessors(node)), default=0)
    for node in reversed(order):
        users = [layer[user] for user in graph.successors(node)]
        if users and not graph.in_degree(node):
            layer[node] = min(users) - 1
    return layer


def _with_bends(graph: nx.MultiDiGraph, layer_of: Mapping[Hashable, int]) -> tuple[list[list[Hashable]], _Links]:
    """Layers with a bend wherever an edge passes, and the (upper, lower) neighbours of everything."""
    layers: list[list[Hashable]] = [[] for _ in range(max(layer_of.values(), default=-1) + 1)]
    links: _Links = {}
    for node in graph:
        layers[layer_of[node]].append(node)
        links[node] = ([], [])
    for source, target in dict.fromkeys((edge[0], edge[1]) for edge in graph.edges()):
        upper: Hashable = source
        for layer in range(layer_of[source] + 1, layer_of[target]):
            bend = _Bend((source, target), layer)
            layers[layer].append(bend)
            links[bend] = ([], [])
            links[upper][1].append(bend)
            links[bend][0].append(upper)
            upper = bend
        links[upper][1].append(target)
        links[target][0].append(upper)
    return layers, links


def _reduce_crossings(layers: list[list[Hashable]], links: _Links) -> None:
    """Sort each layer by the mean place of its neighbours, down and up in turn."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        order = range(1, len(layers)) if down else range(len(layers) - 2, -1, -1)
        for index in order:
            place = {item: position for position, item in enumerate(layers[index - 1 if down else index + 1])}
            own = {item: float(position) for position, item in enumerate(layers[index])}

            mean = {}
            for item in layers[index]:
                near = [place[other] for other in links[item][0 if down else 1]]
                mean[item] = sum(near) / len(near) if near else own[item]
            layers[index].sort(key=mean.__getitem__)


def _width(item: Hashable, widths: Mapping[Hashable, float]) -> float:
    return 0.0 if isinstance(item, _Bend) else widths[item]


def _coordinates(
    layers: list[list[Hashable]],
    links: _Links,
    widths: Mapping[Hashable, float],
    gap: float,
) -> dict[Hashable, float]:
    """Pull everything to the mean of its neighbours, keeping order and distance inside a layer."""
    x: dict[Hashable, float] = {}
    for layer in layers:
        edge = 0.0
        for item in layer:
            x[item] = edge + _width(item, widths) / 2
            edge += _width(item, widths) + gap
        for item in layer:
            x[item] -= (edge - gap) / 2
    for _ in range(_PULLS):
        for layer in layers:
            _spread(layer, _wishes(layer, links, x, above=True, below=True), x, widths, gap)
    # at last straighten: everything under its operands, then the sources over their users
    for layer in layers:
        _spread(layer, _wishes(layer, links, x, above=True, below=False), x, widths, gap)
    for layer in reversed(layers):
        wish = _wishes(layer, links, x, above=False, below=True)
        _spread(layer, {item: x[item] if links[item][0] else wish[item] for item in layer}, x, widths, gap)
    return x


def _wishes(
    layer: list[Hashable], links: _Links, x: Mapping[Hashable, float], *, above: bool, below: bool
) -> dict[Hashable, float]:
    """The mean place of the neighbours of each item; its own place when it has none."""
    wish = {}
    for item in layer:
        near = [x[other] for other in (links[item][0] if above else []) + (links[item][1] if below else [])]
        wish[item] = sum(near) / len(near) if near else x[item]
    return wish


def _spread(
    layer: list[Hashable],
    wish: Mapping[Hashable, float],
    x: dict[Hashable, float],
    widths: Mapping[Hashable, float],
    gap: float,
) -> None:
    """The places nearest to ``wish`` (least squares) that keep the order and the gaps: pool adjacent violators."""
    offsets, offset = [], 0.0
    for index, item in enumerate(layer):
        if index:
            offset += (_width(layer[index - 1], widths) + _width(item, widths)) / 2 + gap
        offsets.append(offset)
    groups: list[list[float]] = []  # sum and count of (wish - offset)
    for item, shift in zip(layer, offsets, strict=True):
        groups.append([wish[item] - shift, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, count = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += count
    bases = [total / count for total, count in groups for _ in range(int(count))]
    for item, shift, base in zip(layer, offsets, bases, strict=True):
        x[item] = base + shift
