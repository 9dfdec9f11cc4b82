"""All of the GPU tests and the benchmark but the launches, in processes that do not interpret kernels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.cases import CASES
from tests.gpu.device import Dry, missing
from tests.gpu.stub import StubKernel
from tests.oracle.variants import MASKS, SCORES

ROOT = Path(__file__).resolve().parents[2]
CHOICE = "score-softcap-bf16 or decode-block_sparse or layout-strided-doc or example-swin or not agrees"


def run(*arguments: str, **more: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "250", **more}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_tests_reach_the_launch() -> None:
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/gpu/test_oracle.py", "--dry-run")
    out = run(*options, "-k", CHOICE, ATTNGEN_TEST_ON="gpu")
    passed = re.search(r"(\d+) passed", out)
    assert passed is not None
    assert int(passed[1]) >= 9
    assert "skipped" not in out


def test_the_benchmark_reaches_the_launch_and_measures_nothing(tmp_path: Path) -> None:
    page, values = tmp_path / "page.md", tmp_path / "values.json"
    out = run(
        "-m", "tests.gpu.bench", "--dry-run", "--only", "softcap", "documents", "--dims", "64",
        "--lengths", "1024", "--tokens", "1024", "--output", str(page), "--json", str(values),
    )  # fmt: skip
    rows = [line for line in out.splitlines() if re.match(r"(softcap|documents) ", line)]
    assert len(rows) == 2
    assert all(row.count("not measured") >= 4 for row in rows)
    assert "has no soft cap" in rows[0]
    assert "1 x 32 x 1024 x 1024 x 64" in rows[0]
    assert f"{4 * 64 * (1024 * 1025 // 2) * 32 / 1e9:.4g}" in rows[0]
    assert re.search(r"\d+ x \d+, \d warps, \d stages", rows[0])
    assert not re.search(r"\d (TFLOP|GB)/s|\d ms", out)
    assert "nothing was measured" in out
    assert not page.exists()
    assert not values.exists()


@pytest.mark.skipif(not missing(), reason="there is a GPU")
def test_the_benchmark_says_that_there_is_no_gpu() -> None:
    command = [sys.executable, "-m", "tests.gpu.bench"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "--dry-run" in done.stdout


def test_a_dry_run_accepts_no_result() -> None:
    dry = Dry("h100")
    dry.verdict(["out: NaN at 3 places"])
    with pytest.raises(AssertionError, match="nobody wrote"):
        dry.verdict([])


class Kernel:
    """What the stub needs of a kernel."""

    params, arg_names = (), ("Q", "M", "BLOCK_M")

    class signature:
        @staticmethod
        def bind(Q: object, M: object, BLOCK_M: object) -> None: ...


def test_the_stub_refuses_what_a_launch_would() -> None:
    kernel, launches = Kernel(), list[tuple[int, ...]]()
    stub = StubKernel(kernel, launches)
    options = {"num_warps": 4, "num_stages": 2, "BLOCK_M": 64}
    stub[(3, 2)](None, 7, **options)
    stub.run(3, 2, 1, *(None,) * 6, None, 7, 64)
    assert launches == [(3, 2, 1), (3, 2, 1)]
    for grid, args, changed in (
        ((0, 1), (None, 7), {}),
        ((1, 1, 65536), (None, 7), {}),
        ((1,), (None,), {}),
        ((1,), (None, 7, 8), {}),
        ((1,), (None, "7"), {}),
        ((1,), (None, 2**63), {}),
        ((1,), (None, 7), {"num_warps": 3}),
    ):
        with pytest.raises((AssertionError, TypeError)):
            stub[grid](*args, **options | changed)
    with pytest.raises(AssertionError):
        stub.run(3, 2, 1, *(None,) * 6, None, 7)


def test_every_example_mask_and_score_has_cases() -> None:
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names)
    for path in (ROOT / "examples").glob("*.toml"):
        assert any(name.startswith(f"example-{path.stem}-") for name in names)
    for mask in MASKS:
        assert {f"mask-{mask}-{dtype}" for dtype in ("bf16", "fp16", "fp32")} <= set(names)
    for score in SCORES:
        assert f"score-{score}-fp16" in names
