"""The C++ compiler of this machine: g++ from 11 on, clang++ from 14 on, or zig from PyPI.

$CXX is obeyed: where it is set, nothing else is tried. A compiler is only ever started with a deadline.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from attngen.errors import CompilerError, RuntimeMissingError
from attngen.runtime.native.isa import flags_for
from attngen.targets.cpu import COMPILE_FLAGS, CpuTarget

VARIABLE = "CXX"
LIMIT_VARIABLE = "ATTNGEN_COMPILE_SECONDS"
LIMIT_S = 300.0
"""A compiler that takes longer hangs."""
PATIENCE_S = 2.0
"""From here on a line on stderr says what is going on."""
OLDEST = {"g++": 11, "clang": 14, "zig": 0}
REMEDY = "install g++ 11 or newer (or clang++ 14), name one with CXX=..., or: pip install 'attngen[zig]'"

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1")


@dataclass(frozen=True, slots=True)
class Compiler:
    """``command`` starts it; ``version`` is its first line, ``kind`` one of `OLDEST`."""

    command: tuple[str, ...]
    kind: str
    version: str

    def flags(self, target: CpuTarget, sanitize: bool = False) -> tuple[str, ...]:
        """All flags of a shared library, besides the names of files."""
        quiet: tuple[str, ...] = ("-Wno-psabi", "-Wno-unknown-pragmas", "-Wno-ignored-attributes")
        quiet = quiet if self.kind == "g++" else (*quiet, "-Wno-pass-failed")
        # the library needs no C++ runtime: zig would build one first, which takes a minute
        runtime = ("-nostdlib++",) if self.kind == "zig" else ("-Wl,--as-needed",) if sys.platform == "linux" else ()
        base: tuple[str, ...] = COMPILE_FLAGS
        if sanitize:
            base = (*(flag for flag in COMPILE_FLAGS if flag != "-O3"), "-O1", *SANITIZERS)
        elif self.kind == "zig":  # it adds checks of its own to what it does not know to be a release
            base = (*COMPILE_FLAGS, "-fno-sanitize=undefined")
        return (*base, *flags_for(target, self.kind), "-fno-exceptions", "-pthread", *quiet, *runtime)

    def __str__(self) -> str:
        return f"{shlex.join(self.command)} ({self.version})"


def find_compiler() -> Compiler:
    """The compiler to use. RuntimeMissingError names the ways to get one."""
    return _found(os.environ.get(VARIABLE, ""), os.environ.get("PATH", ""))


@cache
def _found(asked: str, path: str) -> Compiler:
    if asked.strip():
        command = tuple(shlex.split(asked))
        compiler, why = _probe(command)
        if compiler is None:
            raise RuntimeMissingError(f"`{asked}` is no compiler to use: {why}", place=VARIABLE, remedy=REMEDY)
        return compiler
    refused = []
    for command in _candidates():
        compiler, why = _probe(command)
        if compiler is not None:
            return compiler
        refused.append(f"{shlex.join(command)}: {why}")
    seen = f" ({'; '.join(refused)})" if refused else ""
    raise RuntimeMissingError(f"no C++ compiler is found{seen}", place="the CPU target", remedy=REMEDY)


def _candidates() -> Iterator[tuple[str, ...]]:
    """Compilers that are there, the plain names first: they are what the user of the machine has chosen."""
    numbered = [f"g++-{n}" for n in range(20, 10, -1)] + [f"clang++-{n}" for n in range(30, 13, -1)]
    for name in ("g++", *numbered[:10], "clang++", *numbered[10:], "c++"):
        if shutil.which(name):
            yield (name,)
    if importlib.util.find_spec("ziglang") is not None:
        yield (sys.executable, "-m", "ziglang", "c++")


def _probe(command: tuple[str, ...]) -> tuple[Compiler | None, str]:
    """The compiler behind a command, or None and what is wrong with it."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=60, check=False, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, "it does not answer" if isinstance(error, subprocess.TimeoutExpired) else str(error)
    line = done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""
    if done.returncode != 0 or not line:
        return None, f"`--version` ends with {done.returncode}"
    kind = "zig" if "ziglang" in command or Path(command[0]).name == "zig" else "clang" if "clang" in line else "g++"
    found = re.search(r"version (\d+)", line) if kind != "g++" else re.search(r"(\d+)\.\d+(?:\.\d+)?", line)
    if found is None:
        return None, f"its version is not understood: {line}"
    if int(found[1]) < OLDEST[kind]:
        return None, f"version {found[1]} is older than {OLDEST[kind]}"
    return Compiler(command, kind, line), ""


def _environment() -> dict[str, str]:
    """English messages, and none of the flags that a build system has left in the environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "CPATH", "LIBRARY_PATH")}
    return {**kept, "LC_ALL": "C"}


def compile_library(
    compiler: Compiler,
    flags: Sequence[str],
    source: Path,
    output: Path,
    what: str,
    limit: float | None = None,
    *,
    quiet: bool = False,
) -> float:
    """``source`` becomes the shared library ``output``; returns the seconds it took.

    CompilerError has the command and the first line of what went wrong. ``limit``: seconds until a
    compiler counts as hanging, by default $ATTNGEN_COMPILE_SECONDS or 300. ``quiet``: nothing is said meanwhile.
    """
    limit = limit if limit is not None else float(os.environ.get(LIMIT_VARIABLE) or LIMIT_S)
    command = [*compiler.command, *flags, str(source), "-o", str(output)]
    start = time.monotonic()
    try:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
            errors="replace", env=_environment(), start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise _failed(command, f"it cannot be started: {error.strerror or error}") from error
    text = _output(process, command, what, limit, limit if quiet else min(PATIENCE_S, limit))
    if process.returncode != 0 or not output.is_file():
        raise _failed(command, _first_error(text) or f"it ended with {process.returncode} and said nothing")
    return time.monotonic() - start


def _output(process: subprocess.Popen[str], command: list[str], what: str, limit: float, patience: float) -> str:
    """What the compiler says, until it ends; a line on stderr when that takes longer than ``patience``."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.communicate(timeout=patience)[0]
    if limit > patience:
        start = time.monotonic()
        print(f"attngen: compiling {what} with {command[0]} ...", file=sys.stderr, flush=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            text = process.communicate(timeout=limit - patience)[0]
            seconds = patience + time.monotonic() - start
            print(f"attngen: compiled {what} in {seconds:.1f} s", file=sys.stderr, flush=True)
            return text
    _end(process)
    raise _failed(command, f"it was not done after {limit:g} s", f"look what it hangs on, or {LIMIT_VARIABLE}=SECONDS")


def _end(process: subprocess.Popen[str]) -> None:
    """Ends the compiler and what it started: they are a session of their own."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate()


def _first_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if re.search(r"\b(fatal )?error\b", line, re.I)), lines[0] if lines else "")


def _failed(command: Sequence[str], what: str, remedy: str = "") -> CompilerError:
    remedy = remedy or "run the command to see all of it; another compiler can be named with CXX=..."
    return CompilerError(f"{what}\n  command: {shlex.join(command)}", place="the C++ compiler", remedy=remedy)
