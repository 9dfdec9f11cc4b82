"""An attention graph as a picture (layered, top to bottom) and as text."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx

from attngen.draw.files import need_matplotlib, save_figure
from attngen.draw.layers import Layout, Point, layout
from attngen.graph.node import AttentionGraph, Node

INK = "#20303c"
EDGE = "#7b8a97"
# (fill, border) by kind of node; kinds without a colour of their own are grey
COLOURS = {
    "load": ("#dbe9f6", "#3d85c6"),
    "store": ("#dbe9f6", "#3d85c6"),
    "matmul": ("#d9ead3", "#5b9a4b"),
    "scale": ("#fff2cc", "#c9a227"),
    "score": ("#fff2cc", "#c9a227"),
    "mask": ("#fbe3cd", "#d98032"),
    "normalize": ("#e7dcf1", "#8664a8"),
    "probe": ("#f6d9e3", "#b6507c"),
}
_OTHER = ("#eef1f4", "#8a98a5")
_TEXT_WIDTH, _LABEL_WIDTH, _LABEL_LINES = 88, 46, 8
_CHARACTER = 0.078
_LINE = 0.165
"""Inches of a character and of a line of label at the font size used."""


def _order(graph: nx.MultiDiGraph) -> list[Hashable]:
    """Operands before users, and otherwise in the order of insertion, so that equal graphs print alike."""
    place = {node: index for index, node in enumerate(graph)}
    return list(nx.lexicographical_topological_sort(graph, key=lambda node: place[node]))


def _label(graph: nx.MultiDiGraph, node: Hashable, width: int) -> list[str]:
    """Lines of a node: its label, and for an attention node also what it computes and the shape of the result."""
    lines = str(graph.nodes[node].get("label", node)).split("\n")
    if not isinstance(node, Node):
        return lines
    for item in node.hoisted:
        lines += _wrapped(f"{item.name} = {item.expr}", width)
    if node.expr is not None:
        lines += _wrapped(str(node.expr), width)
    if node.shape:
        lines.append(f"[{', '.join(map(str, node.shape))}] {node.dtype}".rstrip())
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False)
    return lines if len(lines) <= _LABEL_LINES else [*lines[: _LABEL_LINES - 1], "  ..."]


def _nodes(graph: AttentionGraph | nx.MultiDiGraph) -> nx.MultiDiGraph:
    return graph.nodes if isinstance(graph, AttentionGraph) else graph


def _operands(graph: nx.MultiDiGraph, node: Hashable) -> list[Hashable]:
    """Sources of a node by operand position, which is the edge key; one source may come twice."""
    return [source for source, _, _ in sorted(graph.in_edges(node, keys=True), key=lambda edge: edge[2])]


def graph_text(graph: AttentionGraph | nx.MultiDiGraph) -> str:
    """One line a node, numbered, with the numbers of its operands in order."""
    graph = _nodes(graph)
    order = _order(graph)
    number = {node: f"%{index}" for index, node in enumerate(order)}
    wide = max((len(name) for name in number.values()), default=0)
    kinds = max((len(str(graph.nodes[node].get("kind", ""))) for node in order), default=0)
    lines = []
    for node in order:
        operands = ", ".join(number[source] for source in _operands(graph, node))
        label = _label(graph, node, _TEXT_WIDTH)
        start = f"{number[node]:>{wide}} = {graph.nodes[node].get('kind', ''):<{kinds}}  "
        first = start + (f"({operands})  " if operands else "") + label[0]
        lines.append(first.rstrip())
        lines.extend(" " * len(start) + more for more in label[1:])
    return "\n".join(lines)


def draw_graph(graph: AttentionGraph | nx.MultiDiGraph, path: str | Path, title: str = "") -> Path:
    """Write the picture of ``graph`` to ``path`` (.png, .svg or .pdf).

    Nodes of a plain networkx graph carry the attributes ``label`` (lines of text) and ``kind``; the key of an
    edge is the operand position.
    """
    need_matplotlib()
    from matplotlib.figure import Figure

    graph = _nodes(graph)
    labels = {node: _label(graph, node, _LABEL_WIDTH) for node in graph}
    widths = {node: max(map(len, lines)) * _CHARACTER + 0.34 for node, lines in labels.items()}
    heights = {node: len(lines) * _LINE + 0.18 for node, lines in labels.items()}
    plan = layout(graph, widths, heights, gaps=(0.3, 0.36))

    figure = Figure(figsize=(max(plan.width, 2.0) + 0.4, max(plan.height, 0.8) + 0.3), dpi=160, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(-0.2, max(plan.width, 2.0) + 0.2)
    axes.set_ylim(plan.height + 0.1, -0.2)
    axes.set_axis_off()
    leaves = _ports(plan, widths, end=0)
    arrives = _ports(plan, widths, end=1)
    for (source, target), way in plan.edges.items():
        start = (leaves[source, target], way[0][1] + heights[source] / 2)
        stop = (arrives[source, target], way[-1][1] - heights[target] / 2 - 0.02)
        _edge(axes, (start, *way[1:-1], stop), _marks(graph, source, target))
    for node, (x, y) in plan.nodes.items():
        fill, border = COLOURS.get(str(graph.nodes[node].get("kind", "")), _OTHER)
        _box(axes, x, y, widths[node], heights[node], fill, border)
        _write(axes, labels[node], x, y, widths[node])
    if title:
        axes.set_title(title, color=INK, fontsize=12, fontweight="bold", loc="left", x=0.02)
    return save_figure(figure, path)


def _write(axes: Any, lines: list[str], x: float, y: float, wide: float) -> None:
    """The name of a node in bold; below it short lines centred, longer text flush left like code."""
    left = len(lines) > 2
    top = y - (len(lines) - 1) * _LINE / 2
    for index, line in enumerate(lines):
        heading = index == 0
        flush = left and not heading
        axes.text(
            x - wide / 2 + 0.15 if flush else x,
            top + index * _LINE,
            line,
            ha="left" if flush else "center",
            va="center",
            fontsize=9,
            fontweight="bold" if heading else "normal",
            color=INK,
            family="monospace",
        )


def _marks(graph: nx.MultiDiGraph, source: Hashable, target: Hashable) -> str:
    """Operand positions on an edge, where the target has several and their order could matter."""
    if graph.in_degree(target) < 2:
        return ""
    return ", ".join(str(key) for key in sorted(graph.get_edge_data(source, target)))


def _box(axes: Any, x: float, y: float, wide: float, high: float, fill: str, border: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    shape = FancyBboxPatch(
        (x - wide / 2, y - high / 2),
        wide,
        high,
        boxstyle="round,pad=0,rounding_size=0.07",
        facecolor=fill,
        edgecolor=border,
        linewidth=1.1,
        zorder=2,
    )
    axes.add_patch(shape)


def _ports(plan: Layout, widths: Mapping[Hashable, float], end: int) -> dict[tuple[Hashable, Hashable], float]:
    """Where each edge leaves (end 0) or reaches (end 1) its node: side by side, in the order they come from."""
    at_node: dict[Hashable, list[tuple[Hashable, Hashable]]] = {}
    for edge in plan.edges:
        at_node.setdefault(edge[end], []).append(edge)
    ports = {}
    for node, edges in at_node.items():
        edges.sort(key=lambda edge: plan.edges[edge][-2 if end else 1][0])
        step = min(0.32, 0.7 * widths[node] / len(edges))
        for index, edge in enumerate(edges):
            ports[edge] = plan.nodes[node][0] + (index - (len(edges) - 1) / 2) * step
    return ports


def _edge(axes: Any, points: tuple[Point, ...], marks: str) -> None:
    """A smooth line through ``points``, vertical at each of them."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    vertices, codes = [points[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        vertices += [(x0, middle), (x1, middle), (x1, y1)]
        codes += [Curve.CURVE4] * 3
    arrow = FancyArrowPatch(
        path=Curve(vertices, codes),
        arrowstyle="-|>,head_length=3.4,head_width=1.9",
        color=EDGE,
        linewidth=1.1,
        shrinkA=0,
        shrinkB=0,
        zorder=1,
    )
    axes.add_patch(arrow)
    if marks:
        x, y = points[-1]
        axes.text(x + 0.05, y - 0.07, marks, fontsize=6.5, color=EDGE, ha="left", va="bottom")
