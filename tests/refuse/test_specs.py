"""Spec files that are refused: as text, and as files on a disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attngen.errors import SpecError
from attngen.language.toml import LARGEST_FILE, load, loads
from tests.refuse.refused import GOOD, refused
from tests.refuse.specs import FILES, SPECS


def test_what_the_cases_start_from_is_fine() -> None:
    assert loads(GOOD).name == "x"


@pytest.mark.parametrize(("text", "says"), SPECS.values(), ids=list(SPECS))
def test_a_text_is_refused(text: str, says: str) -> None:
    whole = text.startswith(GOOD)  # a key is missing, or the text is not even TOML: there is no better place
    assert isinstance(refused(lambda: loads(text), says, placed=False), SpecError)
    error = refused(lambda: loads(text, place="spec.toml"), says, "spec.toml")
    assert error.place.startswith("spec.toml")
    assert whole or error.place


@pytest.mark.parametrize(("data", "says"), FILES.values(), ids=list(FILES))
def test_a_file_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "spec.toml"
    path.write_bytes(data)
    error = refused(lambda: load(path), says)
    assert error.place.startswith(str(path))


def test_places_that_are_no_files(tmp_path: Path) -> None:
    refused(lambda: load(tmp_path), "cannot be read")
    refused(lambda: load(tmp_path / "absent.toml"), "absent.toml")
    refused(lambda: load(tmp_path / "absent" / ".." / "x.toml"), "cannot be read")
    refused(lambda: load(tmp_path / ("x" * 5000)), "cannot be read")
    refused(lambda: load("nul\x00"), "cannot be read")
    refused(lambda: load(""), "cannot be read")


def test_a_link_that_leads_to_itself(tmp_path: Path) -> None:
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    refused(lambda: load(loop), "cannot be read")


def test_endless_devices_and_pipes(tmp_path: Path) -> None:
    refused(lambda: load("/dev/zero"), "no regular file")
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    refused(lambda: load(pipe), "no regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret.toml"
    secret.write_text(GOOD)
    secret.chmod(0)
    refused(lambda: load(secret), "cannot be read")


def test_text_is_bounded_like_a_file() -> None:
    refused(lambda: loads("#" * (LARGEST_FILE + 1)), "1 MiB", placed=False)


def test_a_spec_does_not_change_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the cases, in an empty directory: nothing is written, nothing is run."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    for text, says in SPECS.values():
        refused(lambda text=text: loads(text), says, placed=False)
    assert list(tmp_path.iterdir()) == []
    assert dict(os.environ) == before
