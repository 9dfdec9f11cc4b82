"""A mask and its tiles as one picture: which pairs are kept, and what the kernel does with each tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attngen.draw.files import need_matplotlib, save_figure
from attngen.errors import SpecError

EMPTY, PARTIAL, FULL = 0, 1, 2
NAMES = ("skipped", "masked", "full")
MEANING = ("never visited", "visited, mask applied", "visited, no mask arithmetic")
# chosen to differ in lightness as well, so they survive grey printing and colour blindness
TILE_COLOURS = ("#eef1f4", "#f6b26b", "#3d85c6")
PIXEL_COLOURS = ("#dfe4e8", "#b45f06", "#0b5394")
INK = "#20303c"
_PIXELS = 1600
"""Masks longer than this are drawn by tile alone: a pixel could not show a pair."""


def count_tiles(tiles: NDArray[np.int8]) -> tuple[int, int, int]:
    """How many tiles are empty, partial and full."""
    return int((tiles == EMPTY).sum()), int((tiles == PARTIAL).sum()), int((tiles == FULL).sum())


def check_shapes(keep: NDArray[np.bool_] | None, tiles: NDArray[np.int8], q_tile: int, kv_tile: int) -> None:
    """The tile array must cover the mask exactly."""
    if tiles.ndim != 2:
        raise SpecError(f"tiles have {tiles.ndim} dimensions", place="tiles", remedy="[query tiles, key tiles]")
    if keep is None:
        return
    expected = (-(-keep.shape[0] // q_tile), -(-keep.shape[1] // kv_tile))
    if tiles.shape != expected:
        raise SpecError(
            f"{tiles.shape[0]} x {tiles.shape[1]} tiles of {q_tile} x {kv_tile} do not cover a mask of "
            f"{keep.shape[0]} x {keep.shape[1]}",
            place="tiles",
            remedy=f"{expected[0]} x {expected[1]} tiles",
        )


def _rgb(colour: str) -> list[int]:
    return [int(colour[index : index + 2], 16) for index in (1, 3, 5)]


def paint(keep: NDArray[np.bool_], tiles: NDArray[np.int8], q_tile: int, kv_tile: int) -> NDArray[np.uint8]:
    """One RGB pixel a pair: the colour of its tile, strong where the pair is kept."""
    kind = np.repeat(np.repeat(tiles, q_tile, axis=0), kv_tile, axis=1)[: keep.shape[0], : keep.shape[1]]
    light = np.array([_rgb(colour) for colour in TILE_COLOURS], dtype=np.uint8)
    strong = np.array([_rgb(colour) for colour in PIXEL_COLOURS], dtype=np.uint8)
    # a full tile keeps everything, so its light colour is already the answer
    strong[FULL] = light[FULL]
    painted: NDArray[np.uint8] = np.where(keep[..., None], strong[kind], light[kind])
    return painted


def draw_mask(
    keep: NDArray[np.bool_] | None,
    tiles: NDArray[np.int8],
    q_tile: int,
    kv_tile: int,
    path: str | Path,
    title: str = "",
) -> Path:
    """Write the picture of ``keep`` [queries, keys] with its ``tiles`` [query tiles, key tiles] to ``path``.

    Without ``keep``, or when it is too large for a pixel a pair, the tiles alone are drawn.
    """
    check_shapes(keep, tiles, q_tile, kv_tile)
    need_matplotlib()
    from matplotlib.figure import Figure

    rows, columns = keep.shape if keep is not None else (tiles.shape[0] * q_tile, tiles.shape[1] * kv_tile)
    fine = keep is not None and max(rows, columns) <= _PIXELS
    image = paint(keep, tiles, q_tile, kv_tile) if fine and keep is not None else _coarse(tiles)

    wide = columns / max(rows, columns) * 6.0
    high = rows / max(rows, columns) * 6.0
    figure = Figure(figsize=(max(wide, 2.0) + 3.4, max(high, 1.6) + 1.3), dpi=160, facecolor="white")
    axes = figure.add_axes(_box(figure, max(wide, 2.0), max(high, 1.6)))
    axes.imshow(image, extent=(0, columns, rows, 0), interpolation="nearest", aspect="auto", zorder=1)
    _grid(axes, rows, columns, q_tile, kv_tile)
    axes.set_xlabel("keys", color=INK, fontsize=11)
    axes.set_ylabel("queries", color=INK, fontsize=11)
    axes.tick_params(colors=INK, labelsize=8, length=3, width=0.6)
    axes.set_xticks(_ticks(columns, kv_tile))
    axes.set_yticks(_ticks(rows, q_tile))
    for spine in axes.spines.values():
        spine.set_color(INK)
        spine.set_linewidth(0.8)
    if title:
        axes.set_title(title, color=INK, fontsize=12, fontweight="bold", loc="left", pad=10)
    _legend(axes, keep, tiles, q_tile, kv_tile)
    return save_figure(figure, path)


def _box(figure: object, wide: float, high: float) -> tuple[float, float, float, float]:
    total_wide, total_high = wide + 3.4, high + 1.3
    return 0.75 / total_wide, 0.6 / total_high, wide / total_wide, high / total_high


def _coarse(tiles: NDArray[np.int8]) -> NDArray[np.uint8]:
    colours = np.array(
        [_rgb(TILE_COLOURS[EMPTY]), _rgb(TILE_COLOURS[PARTIAL]), _rgb(TILE_COLOURS[FULL])], dtype=np.uint8
    )
    coarse: NDArray[np.uint8] = colours[tiles]
    return coarse


def _ticks(length: int, tile: int) -> list[int]:
    """At most nine tick marks, on tile edges, and the end."""
    step = tile
    while length / step > 8:
        step *= 2
    marks = list(range(0, length, step))
    if length - marks[-1] < step * 0.6 and len(marks) > 1:
        marks.pop()
    return [*marks, length]


def _grid(axes: object, rows: int, columns: int, q_tile: int, kv_tile: int) -> None:
    from matplotlib.collections import LineCollection

    count = rows / q_tile + columns / kv_tile
    if count > 320:
        return  # lines would cover the picture
    lines = [[(0, y), (columns, y)] for y in range(q_tile, rows, q_tile)]
    lines += [[(x, 0), (x, rows)] for x in range(kv_tile, columns, kv_tile)]
    width = 0.9 if count <= 64 else 0.4
    axes.add_collection(LineCollection(lines, colors="white", linewidths=width, zorder=2))  # type: ignore[attr-defined]


def _legend(axes: object, keep: NDArray[np.bool_] | None, tiles: NDArray[np.int8], q_tile: int, kv_tile: int) -> None:
    from matplotlib.patches import Patch

    counts = count_tiles(tiles)
    total = max(1, sum(counts))
    order = (FULL, PARTIAL, EMPTY)
    handles = [
        Patch(
            facecolor=TILE_COLOURS[kind],
            edgecolor="#9aa5ae",
            linewidth=0.5,
            label=f"{NAMES[kind]}: {counts[kind]:,} tiles ({100 * counts[kind] / total:.0f} %)\n{MEANING[kind]}",
        )
        for kind in order
    ]
    if keep is not None and counts[PARTIAL]:
        handles.insert(2, Patch(facecolor=PIXEL_COLOURS[PARTIAL], edgecolor="none", label="pairs kept in masked tiles"))
    if keep is not None:
        share = 100 * float(keep.mean()) if keep.size else 0.0
        work = 100 * (counts[PARTIAL] + counts[FULL]) / total
        note = f"{share:.1f} % of the pairs are kept,\n{work:.1f} % of the tiles are visited"
        handles.append(Patch(facecolor="none", edgecolor="none", label=note))
    legend = axes.legend(  # type: ignore[attr-defined]
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        borderaxespad=0.0,
        frameon=False,
        fontsize=9,
        labelspacing=1.1,
        handlelength=1.3,
        handleheight=1.3,
        title=f"tiles of {q_tile} queries x {kv_tile} keys",
        alignment="left",
    )
    legend.get_title().set_fontsize(9.5)
    legend.get_title().set_color(INK)
    for text in legend.get_texts():
        text.set_color(INK)
