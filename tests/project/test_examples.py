"""Every example means something, says where it comes from, and its kernel agrees with the oracle."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attngen.cli.run import judge
from attngen.language import toml
from attngen.sample import Sizes

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted((ROOT / "examples").glob("*.toml"))
SCRIPTS = ("flex_mod", "captured", "family")


def stem(path: Path) -> str:
    return path.stem


def test_there_are_enough() -> None:
    assert len(SPECS) >= 24


@pytest.mark.parametrize("path", SPECS, ids=stem)
def test_it_names_itself_and_its_source(path: Path) -> None:
    spec = toml.load(path)
    assert spec.name == path.stem
    assert re.search(r"arXiv:\d{4}\.\d{5}|\b(19|20)\d\d\b", spec.doc), "the doc names a paper or a model's report"
    assert len(spec.doc) <= 92, "it is one line of the emitted header"


@pytest.mark.parametrize("path", SPECS, ids=stem)
def test_its_kernel_agrees(path: Path) -> None:
    spec = toml.load(path)
    heads = spec.heads
    fewer = (
        (min(heads.q, 2), min(heads.q, 2)) if heads.q == heads.kv else (2 * (1 + (heads.kv > 1)), 1 + (heads.kv > 1))
    )
    queries = 17 if path.stem == "medusa_tree" else 70
    verdict = judge(spec.replace(heads=fewer), Sizes(2, queries, 150))
    assert verdict.agrees, verdict


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_runs(script: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTNGEN_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{script}.py")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if script == "captured":
        assert "kernels compiled: 1" in done.stdout
    if script == "family":
        assert len(list((tmp_path / "build" / "family").glob("*.py"))) == 18
    for error in re.findall(r"difference to the oracle (\S+)", done.stdout):
        assert float(error) < 5e-3


def test_the_cpp_program_runs(tmp_path: Path) -> None:
    for path in (ROOT / "examples" / "cpp_program").iterdir():
        (tmp_path / "program").mkdir(exist_ok=True)
        (tmp_path / "program" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "causal.toml").write_text((ROOT / "examples" / "causal.toml").read_text())
    done = subprocess.run(
        ["make", "-C", "program", f"ATTNGEN={sys.executable} -m attngen"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = re.search(r"largest difference to double precision (\S+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) < 1e-5
