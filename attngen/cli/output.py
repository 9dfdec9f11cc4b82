"""What the commands write: consoles, JSON, errors, and files that are whole or absent."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attngen.errors import AttngenError

if TYPE_CHECKING:
    from rich.console import Console


class OutputError(AttngenError):
    """A file that cannot be written. Name another one."""


def console(*, stderr: bool = False) -> Console:
    """Where people read. Results go to stdout, progress and remarks to stderr, so that pipes stay clean."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def show_error(error: AttngenError) -> None:
    """On stderr; the text of an error is at most one screen."""
    from rich.text import Text

    console(stderr=True).print(Text.assemble(("error: ", "bold red"), str(error) or type(error).__name__))


def printable(text: str) -> str:
    """For names that come from files of others: a terminal is not to obey them."""
    return "".join(c if c.isprintable() else "?" for c in text)


def print_json(value: Any) -> None:
    """One JSON document on stdout, as it is: no colours and no wrapping."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def check_target_file(path: Path) -> None:
    """Refuse what a person would regret, before any work is done."""
    if path.is_symlink():
        raise OutputError(
            "is a symbolic link", place=str(path), remedy="name the file itself; a link is never replaced"
        )
    if path.is_dir():
        raise OutputError("is a directory", place=str(path), remedy=f"name a file in it: -o {path / 'FILE'}")
    if path.exists() and not path.is_file():
        raise OutputError("is not a regular file", place=str(path), remedy="leave -o out to write to stdout")
    if not path.absolute().parent.is_dir():
        remedy = f"make it first: mkdir -p {path.parent}"
        raise OutputError(f"directory {path.parent} does not exist", place=str(path), remedy=remedy)


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """``write`` fills a temporary file beside ``path``, which then takes its place in one step."""
    check_target_file(path)
    # the suffix stays last: matplotlib chooses the format by it
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        write(part)
        os.replace(part, path)
    except OSError as error:
        raise OutputError(
            f"cannot be written ({error.strerror})", place=str(path), remedy="name another file"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_file(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))
