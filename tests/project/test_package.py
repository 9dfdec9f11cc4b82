"""What is shipped: the wheel holds all that generation needs, and the files of the project agree."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    # hatchling itself: no isolated environment, so no network
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_is_complete(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"attngen/py.typed", "attngen/targets/targets.toml"} <= names
    for template in (path for path in (ROOT / "templates").rglob("*") if path.is_file()):
        assert f"attngen/templates/{template.relative_to(ROOT / 'templates')}" in names
    for module in (ROOT / "attngen").rglob("*.py"):
        assert str(module.relative_to(ROOT)) in names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "generated/"))]


def test_generation_works_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PYTHONPATH"] = str(tmp_path / "site")
    made = subprocess.run(
        [sys.executable, "-m", "attngen", "generate", str(ROOT / "examples" / "mistral_7b.toml")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    same = subprocess.run(
        [sys.executable, "-m", "attngen", "generate", str(ROOT / "examples" / "mistral_7b.toml")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert made.stdout == same.stdout


def test_the_version_is_one(wheel: Path) -> None:
    import attngen

    assert f"-{attngen.__version__}-" in wheel.name
    assert f"## {attngen.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_imports_are_declared() -> None:
    import ast
    import re

    from tests.project.test_imports import FILES, imports

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    optional = [line for name in ("torch", "plot", "tune", "ray") for line in extras[name]]
    declared = {re.split(r"[<>=;\[ ]", line)[0] for line in [*project["dependencies"], *optional]}
    used = {
        name.split(".")[0]
        for path in FILES
        for name, _ in imports(ast.parse(path.read_text()))
        if name.split(".")[0] not in sys.stdlib_module_names
    } - {"attngen", ""}
    used = {{"sklearn": "scikit-learn"}.get(name, name) for name in used}
    assert used <= declared | {"mpl_toolkits"}, f"imported and not declared: {used - declared}"
    assert declared - {"triton"} <= used | {"triton"}, f"declared and not imported: {declared - used}"
