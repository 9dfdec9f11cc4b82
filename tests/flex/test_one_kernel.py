"""New closures, lengths and values run the kernel that is there: sources and binaries are counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ONE = {"fingerprints": 1, "sources": 1, "kernels": 1}
THREE = dict.fromkeys(ONE, 3)


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    cache = tmp_path_factory.mktemp("cache")
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": str(ROOT), "ATTNGEN_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "tests.flex.counted"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("a_new_closure_over_new_documents_each_batch", ONE),
        ("a_new_closure_over_a_new_bias_each_batch", ONE),
        ("captured_tensors_replaced_by_name", ONE),
        ("a_captured_number_that_changes", ONE),
        ("ten_lengths_and_three_parameter_values", ONE),
        ("a_python_number_is_a_constant", THREE),
    ],
)
def test_count(counts: Any, scenario: str, expected: dict[str, int]) -> None:
    assert counts[scenario] == expected
