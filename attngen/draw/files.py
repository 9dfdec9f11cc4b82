"""Pictures reach the disk whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attngen.errors import RuntimeMissingError, UnsupportedError

FORMATS = (".png", ".svg", ".pdf")


def need_matplotlib() -> Any:
    """matplotlib with a backend that needs no display, or the way to get it."""
    try:
        import matplotlib
    except ImportError as error:
        raise RuntimeMissingError(
            "pictures need matplotlib, which is not installed", remedy="pip install attngen[plot]"
        ) from error
    matplotlib.use("Agg")
    return matplotlib


def checked_path(path: str | Path) -> Path:
    """``path`` with a format that can be drawn, in a directory that exists."""
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise UnsupportedError(
            f"`{target.name}` is no picture format", remedy=f"end the name in one of {', '.join(FORMATS)}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a file beside ``path``, then move it there in one step."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # mkstemp makes the file private; a picture is to be read by others
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_figure(figure: Any, path: str | Path) -> Path:
    """Write a matplotlib figure, without dates or versions, so that equal pictures are equal files."""
    target = checked_path(path)
    kind = target.suffix.lower().lstrip(".")
    metadata = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}[kind]
    matplotlib = need_matplotlib()

    def write(place: Path) -> None:
        with matplotlib.rc_context({"svg.hashsalt": "attngen"}):
            figure.savefig(place, format=kind, metadata=metadata, bbox_inches="tight", pad_inches=0.12)

    write_atomically(target, write)
    return target
