"""Masks and tiles as block characters, for terminals. Markup is that of rich."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attngen.draw.masks import EMPTY, FULL, PARTIAL, check_shapes, count_tiles

_SHADES = " ░▒▓█"
_TILE_MARKS = {EMPTY: "·", PARTIAL: "▒", FULL: "█"}
_TILE_STYLES = {EMPTY: "bright_black", PARTIAL: "yellow", FULL: "blue"}


def mask_text(keep: NDArray[np.bool_], width: int = 72) -> str:
    """``keep`` [queries, keys] in shades: how much of each cell is kept. At most ``width`` columns.

    A character is about twice as high as wide, so a cell holds twice as many queries as keys.
    """
    rows, columns = keep.shape
    step = max(1, -(-columns // max(1, width)))
    lines = []
    for top in range(0, rows, 2 * step):
        cells = [keep[top : top + 2 * step, left : left + step].mean() for left in range(0, columns, step)]
        lines.append("".join(_shade(float(cell)) for cell in cells))
    return "\n".join(lines)


def _shade(share: float) -> str:
    """Blank only for nothing and solid only for everything, so that a single kept pair is seen."""
    if share <= 0.0:
        return _SHADES[0]
    if share >= 1.0:
        return _SHADES[-1]
    return _SHADES[1 + min(2, int(share * 3))]


def tiles_text(
    tiles: NDArray[np.int8], q_tile: int, kv_tile: int, width: int = 72, *, markup: bool = True, max_rows: int = 48
) -> str:
    """``tiles`` [query tiles, key tiles] with a legend, at most ``width`` columns and ``max_rows`` rows.

    One tile is one or two characters while they fit; beyond that a character stands for several
    tiles and shows the hardest of them: masked before full before skipped.
    """
    check_shapes(None, tiles, q_tile, kv_tile)
    label = len(str(tiles.shape[0] * q_tile))
    room = max(1, width - label - 2)
    step = max(1, -(-tiles.shape[1] // room), -(-tiles.shape[0] // max(1, max_rows)))
    shown = _merge(tiles, step)
    wide = 2 if 2 * shown.shape[1] <= room else 1
    lines = [_heading(label, shown.shape[1] * wide, tiles.shape[1] * kv_tile)]
    for row, kinds in enumerate(shown):
        # a number every fourth row is enough to read the scale
        name = str(row * step * q_tile) if row % 4 == 0 else ""
        lines.append(f"{name:>{label}} ┤{_row(kinds, wide, markup)}")
    lines.extend(_legend(tiles, q_tile, kv_tile, step, markup, width))
    return "\n".join(lines)


def _heading(label: int, wide: int, keys: int) -> str:
    """The key axis: 0 at the left, the length at the right when there is room for it."""
    end = str(keys)
    gap = wide - 1 - len(end)
    return " " * (label + 2) + ("0" + " " * gap + end if gap > 0 else "0")


def _merge(tiles: NDArray[np.int8], step: int) -> NDArray[np.int8]:
    if step == 1:
        return tiles
    rows, columns = -(-tiles.shape[0] // step), -(-tiles.shape[1] // step)
    merged = np.zeros((rows, columns), dtype=np.int8)
    for row in range(rows):
        for column in range(columns):
            part = tiles[row * step : (row + 1) * step, column * step : (column + 1) * step]
            if (part == PARTIAL).any() or ((part == FULL).any() and (part == EMPTY).any()):
                merged[row, column] = PARTIAL
            elif (part == FULL).all():
                merged[row, column] = FULL
    return merged


def _row(kinds: NDArray[np.int8], wide: int, markup: bool) -> str:
    """One line, with one style tag a run of equal tiles."""
    text, start = "", 0
    for end in range(1, len(kinds) + 1):
        if end == len(kinds) or kinds[end] != kinds[start]:
            kind = int(kinds[start])
            run = _TILE_MARKS[kind] * (wide * (end - start))
            text += f"[{_TILE_STYLES[kind]}]{run}[/]" if markup else run
            start = end
    return text


def _legend(tiles: NDArray[np.int8], q_tile: int, kv_tile: int, step: int, markup: bool, width: int) -> list[str]:
    """Counts of each kind and the size of a tile, on as many lines as ``width`` needs."""
    counts = count_tiles(tiles)
    total = max(1, sum(counts))
    parts = []
    for kind, name in ((FULL, "full"), (PARTIAL, "masked"), (EMPTY, "skipped")):
        words = f"{name} {counts[kind]:,} ({100 * counts[kind] / total:.0f} %)"
        mark = f"[{_TILE_STYLES[kind]}]{_TILE_MARKS[kind]}[/]" if markup else _TILE_MARKS[kind]
        parts.append((2 + len(words), f"{mark} {words}"))
    cell = f"tiles of {q_tile} x {kv_tile}" + (f", {step} x {step} a character" if step > 1 else "")
    parts.append((len(cell), cell))
    lines, used = [""], 0
    for length, text in parts:
        if used and used + 2 + length > width:
            lines.append("")
            used = 0
        lines[-1] += ("  " if used else "") + text
        used += length + (2 if used else 0)
    return lines
