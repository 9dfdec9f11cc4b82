"""The front door is quick, and stands alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def seconds(*command: str, tries: int = 5) -> float:
    """Time of the processor in the best of a few: what the program costs, not what the machine is busy with."""
    best = float("inf")
    for _ in range(tries):
        before = os.times()
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        best = min(best, spent)
    return best


def test_help_is_quick() -> None:
    assert seconds("-m", "attngen", "--help") < 0.4


def test_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "attngen", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "attngen 0.1.0\n"


def test_import_is_quick() -> None:
    assert seconds("-c", "import attngen") - seconds("-c", "pass") < 0.1


# a meta-path hook that makes the packages look absent
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def run_without(names: set[str], code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(names=names) + code],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_import_needs_none_of_the_heavy_packages() -> None:
    done = run_without({"torch", "triton", "islpy", "numpy", "networkx", "jinja2", "matplotlib"}, "import attngen")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", ["mistral_7b", "gemma2", "packed_documents", "bigbird"])
def test_generation_needs_neither_torch_nor_triton(example: str) -> None:
    code = f"""
import attngen.language.toml as toml, attngen as ag
text = ag.generate(toml.load("examples/{example}.toml"), target="h100").text
assert "def attention(" in text
assert "torch" not in sys.modules and "triton" not in sys.modules
"""
    done = run_without({"torch", "triton", "matplotlib"}, code)
    assert done.returncode == 0, done.stderr
