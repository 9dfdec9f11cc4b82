"""The gallery: the emitted kernel of every example, committed, so that a change of the text is seen in review."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer

from attngen.errors import AttngenError

MAIN_TARGET = "h100"
# one device for every family of target, by the name of its folder
FAMILIES = {
    "sm_80": "sm_80",
    "sm_100": "sm_100",
    "sm_120": "sm_120",
    "gfx942": "gfx942",
}
IN_EVERY_FAMILY = ("llama2_70b", "mistral_7b", "gemma2")
CPU = "cpu"
FOR_CPUS = ("mistral_7b", "gemma2", "packed_documents")


class GalleryError(AttngenError):
    """The gallery needs the repository: its examples and its folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the gallery."""

    spec: Path
    target: str
    file: Path


def repository() -> Path:
    """The checkout that this package lies in."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "examples").is_dir():
        raise GalleryError("the examples are not here", place=str(root), remedy="run it in a checkout of attngen")
    return root


def entries(root: Path) -> Iterator[Entry]:
    """Every example for the main target, three of them for each family, and three in C++."""
    for spec in sorted((root / "examples").glob("*.toml")):
        yield Entry(spec, MAIN_TARGET, root / "generated" / MAIN_TARGET / f"{spec.stem}.py")
        if spec.stem in IN_EVERY_FAMILY:
            for folder, target in FAMILIES.items():
                yield Entry(spec, target, root / "generated" / folder / f"{spec.stem}.py")
        if spec.stem in FOR_CPUS:
            yield Entry(spec, CPU, root / "generated" / CPU / f"{spec.stem}.cpp")


def _text(entry: Entry) -> str:
    from attngen import pipeline
    from attngen.cli.options import load_spec

    try:
        command = f"attngen generate examples/{entry.spec.name} --target {entry.target}"
        return pipeline.generate(load_spec(entry.spec), entry.target, command=command).text
    except AttngenError as error:
        raise GalleryError(str(error), place=f"examples/{entry.spec.name} for {entry.target}") from error


def _strangers(root: Path, wanted: set[Path]) -> list[Path]:
    """Files that no example makes any more."""
    found = [*(root / "generated").glob("*/*.py"), *(root / "generated").glob("*/*.cpp")]
    return sorted(path for path in found if path not in wanted)


def write_gallery() -> None:
    """Write what differs, remove what no example makes."""
    from attngen.cli.output import console, write_text

    root = repository()
    todo = list(entries(root))
    changed = 0
    for entry in todo:
        text = _text(entry)
        entry.file.parent.mkdir(parents=True, exist_ok=True)
        if not entry.file.exists() or entry.file.read_text(encoding="utf-8") != text:
            write_text(entry.file, text)
            changed += 1
    gone = _strangers(root, {entry.file for entry in todo})
    for path in gone:
        path.unlink()
    console(stderr=True).print(f"gallery: {len(todo)} files, {changed} written, {len(gone)} removed")


def check_gallery() -> None:
    """Exit code 1 when a file differs from what attngen emits now."""
    from attngen.cli.output import console

    root = repository()
    todo = list(entries(root))
    differing = [
        entry.file
        for entry in todo
        if not entry.file.exists() or entry.file.read_text(encoding="utf-8") != _text(entry)
    ]
    differing += _strangers(root, {entry.file for entry in todo})
    out = console(stderr=True)
    if not differing:
        out.print(f"gallery: {len(todo)} files are up to date")
        return
    for path in differing:
        out.print(f"differs: {path.relative_to(root)}")
    out.print(f"{len(differing)} of {len(todo)} files differ; `attngen generate --all` writes them anew")
    raise typer.Exit(1)
