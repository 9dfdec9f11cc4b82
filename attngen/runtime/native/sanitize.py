"""Kernels under AddressSanitizer and UndefinedBehaviorSanitizer: the environment of a Python that runs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from attngen.errors import UnsupportedError
from attngen.runtime.native.compiler import Compiler

VARIABLE = "ATTNGEN_SANITIZE"
"""Set to 1: kernels and pool are built with both sanitizers. Python must have been started with their libraries."""


def sanitizing() -> bool:
    return os.environ.get(VARIABLE) == "1"


def sanitized_environment(compiler: Compiler) -> dict[str, str]:
    """Variables for a child: an access outside an allocation, or undefined behaviour, ends it with a report.

    Python and torch are not instrumented, so the libraries are loaded first, and leaks are not looked for.
    """
    if compiler.kind != "g++":
        raise UnsupportedError(f"sanitizers with {compiler}", remedy="name a g++: CXX=g++")
    libraries = [_library(compiler, name) for name in ("libasan.so", "libubsan.so")]
    return {
        **os.environ,
        VARIABLE: "1",
        "LD_PRELOAD": ":".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1",
    }


def _library(compiler: Compiler, name: str) -> str:
    done = subprocess.run(
        [*compiler.command, f"-print-file-name={name}"], capture_output=True, text=True, timeout=60, check=False
    )
    path = Path(done.stdout.strip())
    if not path.is_absolute():
        raise UnsupportedError(f"{compiler} has no {name}", remedy="install the sanitizer libraries of the compiler")
    return str(path.resolve())
