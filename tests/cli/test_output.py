"""Files are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from attngen.cli.output import OutputError, show_error, write_file, write_text


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    write_text(path, "x = 1\n")
    assert path.read_bytes() == b"x = 1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")

    def fail(part: Path) -> None:
        part.write_text("half")
        raise RuntimeError("out of ink")

    with pytest.raises(RuntimeError, match="out of ink"):
        write_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_suffix_is_kept_for_writers_that_look_at_it(tmp_path: Path) -> None:
    seen: list[str] = []

    def write(part: Path) -> None:
        seen.append(part.suffix)
        part.write_text("<svg/>")

    write_file(tmp_path / "mask.svg", write)
    assert seen == [".svg"]


def test_a_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="regular file"):
        write_text(Path("/dev/null"), "x")


def test_a_long_error_is_cut_to_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(OutputError("\n".join(f"line {n}" for n in range(500))))
    said = capsys.readouterr().err
    assert "line 0" in said and "461 more lines" in said
    assert said.count("\n") == 40
