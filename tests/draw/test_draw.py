"""Pictures and block characters: they show what the arrays say, whole files or none."""

from __future__ import annotations

import builtins
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rich.text import Text

from attngen.draw import files
from attngen.draw.graphs import draw_graph, graph_text
from attngen.draw.layers import layout
from attngen.draw.masks import PIXEL_COLOURS, TILE_COLOURS, draw_mask, paint
from attngen.draw.terminal import mask_text, tiles_text
from attngen.errors import RuntimeMissingError, SpecError, UnsupportedError

Q, KV = np.ogrid[:100, :90]
KEEP: NDArray[np.bool_] = (KV <= Q) & (Q - KV < 40)


def tiles_of(keep: NDArray[np.bool_], q_tile: int, kv_tile: int) -> NDArray[np.int8]:
    rows, columns = -(-keep.shape[0] // q_tile), -(-keep.shape[1] // kv_tile)
    tiles = np.zeros((rows, columns), dtype=np.int8)
    for row in range(rows):
        for column in range(columns):
            part = keep[row * q_tile : (row + 1) * q_tile, column * kv_tile : (column + 1) * kv_tile]
            tiles[row, column] = 2 if part.all() else int(part.any())
    return tiles


TILES = tiles_of(KEEP, 16, 32)


def hexadecimal(pixel: NDArray[np.uint8]) -> str:
    return "#" + "".join(f"{value:02x}" for value in pixel)


def test_every_pair_has_the_colour_of_its_tile() -> None:
    image = paint(KEEP, TILES, 16, 32)
    for q, kv in [(0, 0), (0, 89), (40, 40), (99, 89), (50, 20), (99, 0)]:
        kind = TILES[q // 16, kv // 32]
        colours = PIXEL_COLOURS if KEEP[q, kv] and kind == 1 else TILE_COLOURS
        assert hexadecimal(image[q, kv]) == colours[kind], (q, kv)


@pytest.mark.parametrize("name", ["mask.png", "mask.svg", "deep/er/mask.pdf"])
def test_a_mask_becomes_a_file(tmp_path: Path, name: str) -> None:
    path = draw_mask(KEEP, TILES, 16, 32, tmp_path / name, "window(40)")
    assert path.stat().st_size > 3000
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_equal_pictures_are_equal_files(tmp_path: Path) -> None:
    for suffix in ("png", "svg"):
        first, second = (draw_mask(KEEP, TILES, 16, 32, tmp_path / f"{n}.{suffix}") for n in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_tiles_alone_and_masks_too_large_for_pixels(tmp_path: Path) -> None:
    assert draw_mask(None, TILES, 16, 32, tmp_path / "tiles.png").exists()
    keep = np.ones((8, 4096), dtype=bool)
    assert draw_mask(keep, tiles_of(keep, 8, 1024), 8, 1024, tmp_path / "wide.png").exists()


def test_tiles_must_cover_the_mask(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="7 x 3 tiles"):
        draw_mask(KEEP, TILES[:-1], 16, 32, tmp_path / "mask.png")


def test_no_file_is_left_when_writing_fails(tmp_path: Path) -> None:
    target = tmp_path / "picture.png"
    target.write_bytes(b"old")

    def fail(place: Path) -> None:
        place.write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(target, fail)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"mask\.gif"):
        draw_mask(KEEP, TILES, 16, 32, tmp_path / "mask.gif")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def fake(name: str, *rest: object) -> object:
        if name == "matplotlib":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(RuntimeMissingError, match="pip install attngen\\[plot\\]"):
        draw_mask(KEEP, TILES, 16, 32, tmp_path / "mask.png")


def test_shades_show_a_single_pair() -> None:
    keep = np.zeros((64, 64), dtype=bool)
    keep[33, 50] = True
    text = mask_text(keep, width=8)
    assert text.count("░") == 1
    assert set(text) == {" ", "░", "\n"}
    assert mask_text(np.ones((8, 4), dtype=bool), width=4) == "\n".join(["████"] * 4)


@given(st.integers(1, 70), st.integers(1, 70), st.integers(24, 100), st.integers(1, 30))
def test_tiles_fit_the_terminal(rows: int, columns: int, width: int, max_rows: int) -> None:
    tiles = np.random.default_rng(rows * columns).integers(0, 3, (rows, columns)).astype(np.int8)
    lines = tiles_text(tiles, 64, 64, width, markup=False, max_rows=max_rows).split("\n")
    drawn = [line for line in lines if "┤" in line]
    assert len(drawn) <= max_rows
    assert all(len(line) <= width for line in drawn)


def test_merged_tiles_show_the_hardest_kind() -> None:
    tiles = np.zeros((4, 8), dtype=np.int8)
    tiles[:2, :2] = 2
    tiles[2, 5] = 1
    text = tiles_text(tiles, 1, 1, width=7, markup=False)
    rows = [line.split("┤")[1] for line in text.split("\n") if "┤" in line]
    assert rows == ["█···", "··▒·"]


def test_markup_and_plain_text_agree() -> None:
    plain = tiles_text(TILES, 16, 32, markup=False)
    assert Text.from_markup(tiles_text(TILES, 16, 32)).plain == plain
    counts = [int((kind == TILES).sum()) for kind in (2, 1, 0)]
    assert f"full {counts[0]} (" in plain
    assert f"masked {counts[1]} (" in plain
    assert f"skipped {counts[2]} (" in plain


def small_graph() -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    for name, kind in [("q", "load"), ("k", "load"), ("qk", "matmul"), ("sq", "score"), ("out", "store")]:
        graph.add_node(name, label=f"{name}\n[B, M]", kind=kind)
    for source, target, key in [("q", "qk", 0), ("k", "qk", 1), ("qk", "sq", 0), ("qk", "sq", 1), ("sq", "out", 0)]:
        graph.add_edge(source, target, key=key)
    graph.add_edge("q", "out", key=1)
    return graph


def test_graph_text_lists_operands_in_order() -> None:
    text = graph_text(small_graph())
    assert "%2 = matmul  (%0, %1)  qk" in text
    assert "%3 = score   (%2, %2)  sq" in text, "both edges of x * x"
    assert "%4 = store   (%3, %0)  out" in text
    assert graph_text(nx.MultiDiGraph()) == ""


@pytest.mark.parametrize("name", ["graph.png", "graph.svg"])
def test_a_graph_becomes_a_file(tmp_path: Path, name: str) -> None:
    path = draw_graph(small_graph(), tmp_path / name, "small")
    assert path.stat().st_size > 3000


@given(st.integers(1, 14), st.integers(0, 10**6))
def test_layouts_have_no_overlaps_and_edges_go_down(nodes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = nx.MultiDiGraph()
    for node in range(nodes):
        graph.add_node(node)
        for position in range(int(rng.integers(0, min(node, 3) + 1))):
            graph.add_edge(int(rng.integers(0, node)), node, key=position)
    widths = {node: float(rng.uniform(0.5, 3)) for node in graph}
    heights = dict.fromkeys(graph, 0.4)
    plan = layout(graph, widths, heights, (0.3, 0.4))
    for source, target in plan.edges:
        assert plan.nodes[source][1] < plan.nodes[target][1]
        downs = [point[1] for point in plan.edges[source, target]]
        assert downs == sorted(downs)
    for a in graph:
        for b in graph:
            if a < b and plan.nodes[a][1] == plan.nodes[b][1]:
                distance = abs(plan.nodes[a][0] - plan.nodes[b][0])
                assert distance >= (widths[a] + widths[b]) / 2 + 0.3 - 1e-6
    assert all(0 <= x <= plan.width + 1e-9 and 0 <= y <= plan.height for x, y in plan.nodes.values())
