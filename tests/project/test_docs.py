"""What the documents say holds: code runs, commands work, links lead somewhere, generated parts are fresh."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.test_imports import FLOOR
from tests.support.marks import part

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTNGEN_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def blocks(language: str) -> list[str]:
    text = re.sub(r"<!-- excerpt.*?end of excerpt -->", "", README, flags=re.DOTALL)
    return [body for name, body in FENCE.findall(text) if name == language]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "for q_tile in range(" in done.stdout


COMMANDS = [
    line.split("#")[0].strip() for body in blocks("sh") for line in body.splitlines() if line.startswith("attngen ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme_work(command: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    words = shlex.split(command)[1:]
    if words[0] == "run":  # as many tokens as a person with a GPU would take are minutes in the interpreter
        words = ["128" if word == "4096" else word for word in words]
    done = run([sys.executable, "-m", "attngen", *words], tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_readme_has_commands_for_everyone() -> None:
    assert len(COMMANDS) >= 4
    assert "make demo" in README
    assert "make test" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_is_named_exists(page: Path) -> None:
    """Targets of make, and files of the tests and the package in code."""
    text, makefile = page.read_text(), (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z][a-z-]*)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in re.findall(r"`(?:pytest |python )?((?:tests|attngen)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("script", ["make_errors", "make_readme"])
def test_generated_parts_are_fresh(script: str, tmp_path: Path) -> None:
    done = run([sys.executable, str(ROOT / "docs" / f"{script}.py"), "--check"], tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_number_of_examples_is_right() -> None:
    found = re.search(r"`examples/` has (\d+) of them", README)
    assert found is not None
    assert int(found[1]) == len(list((ROOT / "examples").glob("*.toml")))


def test_every_target_counts() -> None:
    from attngen.targets.load import load_targets

    found = re.search(r"plans for (\d+) GPUs", README)
    assert found is not None
    assert int(found[1]) == len(load_targets())


def test_the_drawing_of_the_floors_is_true() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    floors = [sorted(line.replace(" ", "").split(",")) for line in part("floors", text).splitlines()]
    table: dict[int, list[str]] = {}
    for room, floor in FLOOR.items():
        table.setdefault(floor, []).append(room)
    assert floors == [sorted(table[floor]) for floor in sorted(table, reverse=True)]


def test_every_room_is_on_the_plan() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for path in (ROOT / "attngen").iterdir():
        if path.name not in ("__pycache__", "__main__.py", "py.typed"):
            assert f"{path.name}/" in text if path.is_dir() else path.name in text, path.name
