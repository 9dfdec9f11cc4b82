"""Sanitizers see what a kernel does wrong, and nothing in kernels that are right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from attngen.errors import UnsupportedError
from attngen.runtime.native.compiler import Compiler, find_compiler
from attngen.runtime.native.sanitize import sanitized_environment
from tests.runtime.native.kit import ROOT

pytestmark = pytest.mark.skipif(find_compiler().kind != "g++", reason="the sanitizers' libraries are those of g++")

CALL = """
import sys
from pathlib import Path
from attngen.runtime.cache import Cache
from tests.runtime.native.kit import inputs, native, text, values
before, after = {change!r}
source = text(split=True)
assert before in source
f = native(Cache(Path(sys.argv[1])), split=True, source=source.replace(before, after))
f(*inputs(), return_lse=True, **values())
print("done")
"""

FAULTS = {
    # name: (right, wrong, what the report says)
    "a read past the keys": ("n * c->kn", "(n + 200) * c->kn", "AddressSanitizer: heap-"),  # there may be freed memory
    "a write past the lse": ("((REAL*)c->lse)[row]", "((REAL*)c->lse)[row + 64]", "heap-buffer-overflow"),
    "too little shared memory": ("SPLITS * (int64_t)sizeof(Part)", "SPLITS * (int64_t)8", "heap-buffer-overflow"),
    "an index past an array": ("acc[d] / sum", "acc[d + (int)c->W] / sum", "out of bounds"),
    "an int that overflows": (
        "double slope =", "static int over = 2147483000; over += (int)c->W * 1000; double slope =", "overflow"
    ),
}  # fmt: skip


def run(tmp_path: Path, change: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {**sanitized_environment(find_compiler()), "PYTHONPATH": str(ROOT), "TRITON_INTERPRET": "0"}
    return subprocess.run(
        [sys.executable, "-c", CALL.format(change=change), str(tmp_path)], env=environment, cwd=ROOT,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen(tmp_path: Path, name: str) -> None:
    right, wrong, report = FAULTS[name]
    done = run(tmp_path, (right, wrong))
    assert done.returncode != 0
    assert report in done.stderr
    assert "done" not in done.stdout


def test_a_kernel_without_fault_is_not_accused(tmp_path: Path) -> None:
    done = run(tmp_path, ("#include <math.h>", "#include <math.h>"))
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-3000:]


def test_a_share_of_random_cases_is_clean(tmp_path: Path) -> None:
    command = ["fuzz", "--backend", "cpu", "--sanitize", "--only", "kernels", "--cases", "40", "--jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTNGEN_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", "attngen", *command], env=environment, cwd=tmp_path, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-6000:]
    assert "0 failures" in done.stdout


def test_other_compilers_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="sanitizers with clang"):
        sanitized_environment(Compiler(("clang++",), "clang", "clang 17"))
