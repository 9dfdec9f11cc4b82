"""What every refusal has in common: one project error, quick, on one screen, with the value, the place, the way out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attngen.errors import AttngenError, GraphError

SECONDS = 2.0  # of this process: other work on the machine does not count
MOST_LINES, MOST_CHARACTERS = 40, 4_000
NAME, SIZES = 'name = "x"\n', "heads = 4\nhead_dim = 64\n"
GOOD = NAME + SIZES


def refused(action: Callable[[], Any], *says: str, placed: bool = True) -> AttngenError:
    """The error of an action that has to be refused."""
    start = time.process_time()
    try:
        result = action()
    except AttngenError as caught:
        error = caught
    else:
        raise AssertionError(f"accepted: {result!r:.300}")
    took = time.process_time() - start
    text = str(error)
    assert took < SECONDS, f"{took:.1f} s to say: {text:.200}"
    assert type(error) is not AttngenError, "an error is of the class that names its remedy"
    assert not isinstance(error, GraphError)
    assert error.what
    assert error.remedy, f"no way out: {text}"
    assert error.place or not placed, f"no place: {text}"
    assert_one_screen(text)
    for word in says:
        assert word in text, f"`{word}` is missing: {text}"
    return error


def assert_one_screen(text: str) -> None:
    assert len(text) < MOST_CHARACTERS, f"{len(text)} characters"
    assert text.count("\n") < MOST_LINES, f"{text.count(chr(10))} lines"
    assert "Traceback" not in text
    odd = {c for c in text if not c.isprintable() and c != "\n"}
    assert not odd, f"a terminal would obey {odd}"


def files_under(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip
