"""Finding a compiler, and what is said when it is missing, fails or hangs."""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path

import pytest

from attngen.errors import CompilerError, RuntimeMissingError, TargetError
from attngen.runtime.native import compiler, isa
from attngen.runtime.native.compiler import Compiler, compile_library, find_compiler
from attngen.targets.cpu import CPUS, best_cpu


def program(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without a compiler; the directory is its PATH (with a shell for the programs that tests put there)."""
    monkeypatch.delenv("CXX", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    return tmp_path / "bin"


def test_this_machine_has_one() -> None:
    found = find_compiler()
    assert found.kind in compiler.OLDEST
    assert found.version


def test_without_a_compiler_both_ways_to_get_one_are_named(nothing: Path) -> None:
    with pytest.raises(RuntimeMissingError, match="no C\\+\\+ compiler is found") as error:
        find_compiler()
    assert "g++ 11" in error.value.remedy
    assert "attngen[zig]" in error.value.remedy


def test_an_old_compiler_is_passed_over_and_said(nothing: Path) -> None:
    program(nothing / "g++", "echo 'g++ (Old 9.4.0-1) 9.4.0'")
    with pytest.raises(RuntimeMissingError, match=re.escape("g++: version 9 is older than 11")):
        find_compiler()
    program(nothing / "clang++", "echo 'Some clang version 17.0.6 (x)'")
    compiler._found.cache_clear()
    found = find_compiler()
    assert (found.command, found.kind) == (("clang++",), "clang")


def test_zig_from_pypi_is_the_last_resort(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = program(nothing / "python", "echo 'clang version 22.1.0'")
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: object() if name == "ziglang" else None)
    monkeypatch.setattr(compiler.sys, "executable", str(fake))
    compiler._found.cache_clear()
    found = find_compiler()
    assert found.command == (str(fake), "-m", "ziglang", "c++")
    assert found.kind == "zig"
    flags = found.flags(CPUS[0])
    assert "-nostdlib++" in flags
    assert "-mcpu=x86_64_v4+avx512bf16" in flags


def test_cxx_is_obeyed_and_never_replaced(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = program(nothing / "mine", "echo 'mine (X) 12.1.0'")
    program(nothing / "g++", "echo 'g++ (X) 13.1.0'")
    monkeypatch.setenv("CXX", f"{mine} --like-this")
    assert find_compiler().command == (str(mine), "--like-this")
    monkeypatch.setenv("CXX", "absent-compiler")
    with pytest.raises(RuntimeMissingError, match="absent-compiler") as error:
        find_compiler()
    assert error.value.place == "CXX"


def test_fast_math_is_never_asked_for() -> None:
    for kind in compiler.OLDEST:
        for cpu in CPUS:
            flags = Compiler(("x",), kind, "1").flags(cpu)
            assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"} & set(flags)
            assert "-march=native" not in flags, "a cache may serve another machine"


def build(command: Path | str, tmp_path: Path, text: str = "int x;", limit: float | None = None) -> float:
    source = tmp_path / "kernel.cpp"
    source.write_text(text)
    made = Compiler((str(command),), "g++", "test")
    return compile_library(made, ("-shared", "-fPIC"), source, tmp_path / "kernel.so", "a kernel", limit)


def test_a_failure_has_the_command_and_the_first_error(tmp_path: Path) -> None:
    with pytest.raises(CompilerError) as error:
        build(
            find_compiler().command[0], tmp_path, "#warning first\nint f() { return undeclared; }\nint g() { alsono; }"
        )
    text = str(error.value)
    assert "error:" in text
    assert "undeclared" in text
    assert "alsono" not in text
    assert "kernel.cpp -o" in text


def test_a_compiler_that_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(CompilerError, match="ended with 3 and said nothing"):
        build(program(tmp_path / "silent", "exit 3"), tmp_path)


def test_a_compiler_that_pretends(tmp_path: Path) -> None:
    with pytest.raises(CompilerError, match="ended with 0"):
        build(program(tmp_path / "pretends", "exit 0"), tmp_path)


def test_a_compiler_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "child"
    hanging = program(tmp_path / "hangs", f"sleep 60 & echo $! > {note}; wait")
    start = time.monotonic()
    with pytest.raises(CompilerError, match=r"not done after 0\.5 s") as error:
        build(hanging, tmp_path, limit=0.5)
    assert time.monotonic() - start < 20
    assert "hangs -shared" in str(error.value)
    assert compiler.LIMIT_VARIABLE in error.value.remedy
    child = int(note.read_text())
    for _ in range(100):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the compiler's child still runs")


def test_a_slow_one_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiler, "PATIENCE_S", 0.1)
    slow = program(tmp_path / "slow", "sleep 0.5; touch " + str(tmp_path / "kernel.so"))
    build(slow, tmp_path)
    shown = capsys.readouterr()
    assert re.fullmatch(
        r"attngen: compiling a kernel with .*slow \.\.\.\nattngen: compiled a kernel in \d+\.\d s\n", shown.err
    )
    assert shown.out == ""


def test_a_quick_one_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(program(tmp_path / "quick", "touch " + str(tmp_path / "kernel.so")), tmp_path)
    assert capsys.readouterr() == ("", "")


def test_levels_of_machines() -> None:
    v3 = "ssse3 sse4_1 sse4_2 popcnt avx avx2 fma f16c bmi1 bmi2 movbe"
    v4 = f"{v3} avx512f avx512bw avx512cd avx512dq avx512vl"
    for words, arch in (
        (f"{v4} avx512_bf16", "avx512_bf16"),
        (v4, "avx512"),
        (v3, "avx2"),
        (v4.replace("avx512vl", ""), "avx2"),
        ("ssse3 sse4_2", "sse"),
        ("fp asimd", "neon"),
    ):
        best = best_cpu(words.split())
        assert best is not None
        assert best.arch == arch


def test_what_the_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isa, "features", lambda: frozenset("ssse3 sse4_2 avx2 fma f16c bmi2".split()))
    assert isa.detect().arch == "avx2"
    assert isa.detect("cpu").arch == "avx2"
    assert isa.detect("sse").arch == "sse"
    with pytest.raises(TargetError, match="avx512 needs what this processor lacks: avx512bw"):
        isa.detect("avx512")
    with pytest.raises(TargetError, match="is no CPU"):
        isa.detect("h100")
    monkeypatch.setattr(isa, "features", lambda: frozenset({"fpu"}))
    with pytest.raises(TargetError, match="has none of"):
        isa.detect()


def test_the_environment_of_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "libasan.so")
    kept = compiler._environment()
    assert "LD_PRELOAD" not in kept, "a compiler under a sanitizer of Python would be checked for leaks"
    assert kept["LC_ALL"] == "C"
    assert kept["PATH"] == os.environ["PATH"]
