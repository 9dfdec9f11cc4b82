"""The machinery: shrinking, chunks, the state of a run, and the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from attngen.fuzz import work
from attngen.fuzz.cases import Case, random_case
from attngen.fuzz.kernels import Kernels
from attngen.fuzz.run import CHUNK, State, run, write_scripts
from attngen.fuzz.script import script
from attngen.fuzz.shrink import shrink

ROOT = Path(__file__).resolve().parents[2]


def test_shrinking_keeps_only_what_fails() -> None:
    case = Case(
        heads=(6, 2), dim=(80, 80), dtype="bf16", blocks=(32, 64), target="a100", batch=2, m=80, n=101, layout="gapped",
        mask=["&", ["~", ["vocabulary", "chunked(5)"]], ["mod", ["|", ["<", "q", "kv"], ["==", ["%", "q", 7], 3]]]],
        scores=[["vocabulary", "softcap(3.0)"], ["text", ["+", "score", ["sin", ["float", "q"]]]]],
    )  # fmt: skip
    small = shrink(case, lambda other: "% 7" in script(other, "", []) and other.n > 40)
    assert small == Case(m=1, n=41, mask=["mod", ["%", "q", 7]])


def test_shrinking_ends_in_time() -> None:
    start = time.monotonic()
    shrink(random_case(0, 3), lambda other: bool(time.sleep(0.05)) or True, seconds=0.3)
    assert time.monotonic() - start < 2


def test_a_failure_is_made_small_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that forgets the soft cap: planted between the spec and the compiler."""

    def problems(self: Kernels, case: Case) -> list[str]:
        return ["fuzz:", "  out: largest error 1"] if "softcap" in str(case.scores) else []

    monkeypatch.setattr(Kernels, "problems", problems)
    found = work.chunk("kernels", 5, 0, 120)
    assert found.cases == 120
    firsts = [failure for failure in found.failures if failure.script]
    assert firsts
    assert len(firsts) < len(found.failures), "the other lengths of a spec are not shrunk again"
    for failure in firsts:
        assert "softcap" in failure.script
        assert Case.of(failure.case or {}).mask is None
        assert Case.of(failure.case or {}).m == 1


def test_what_fails_only_after_other_cases_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Kernels] = []

    def problems(self: Kernels, case: Case) -> list[str]:
        calls.append(self)
        return ["fuzz:", "  out: NaN"] if len(calls) == 2 else []

    monkeypatch.setattr(Kernels, "problems", problems)
    found = work.chunk("kernels", 0, 0, 3)
    assert "only after the cases before it: 0 to 1" in found.failures[0].problems[-1]


def _busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize("wait", [time.sleep, _busy])
def test_a_kernel_that_does_not_end_is_a_failure(monkeypatch: pytest.MonkeyPatch, wait: Any) -> None:
    monkeypatch.setattr(work, "LIMIT_S", 0.2)
    monkeypatch.setattr(Kernels, "problems", lambda self, case: wait(30))
    assert "not done" in work.limited(Kernels(), Case())[0]


def test_a_plan_that_does_not_fit_is_no_failure() -> None:
    kernels = Kernels()
    assert not kernels.problems(Case(dim=(512, 512), blocks=(2048, 2048)))
    assert kernels.refused == 1


def test_a_kernel_serves_the_other_lengths_of_its_spec() -> None:
    kernels = Kernels()
    compiled = []
    for index in range(9, 12):
        assert not kernels.problems(random_case(0, index))
        compiled.append(kernels._attention)
    assert compiled[0] is compiled[1] or compiled[1] is compiled[2]


def test_a_state_goes_on(tmp_path: Path) -> None:
    path, state, size = tmp_path / "fuzz" / "state.json", State(4), CHUNK["kernels"]
    assert list(state.todo("kernels", size + 5)) == [("kernels", 0, size), ("kernels", size, 5)]
    failure = work.Failure("kernels", 4, 3, ["x"], {"m": 1}, "text")
    state.add("kernels", 0, work.Outcome(size - 1, 1, [failure]))
    state.save(path)
    again = State.load(path, 4)
    assert again == state
    assert list(again.todo("kernels", size + 5)) == [("kernels", size, 5)]
    assert State.load(path, 5) == State(5), "the state of another seed"
    for damage in ("", "{", "[]", '{"seed": 4}', '{"failures": [{}]}', '{"failures": 3}'):
        path.write_text(damage)
        assert State.load(path, 4) == State(4)
    assert write_scripts([failure], tmp_path / "out")[0].read_text() == "text"


def test_the_time_is_kept() -> None:
    state = State(0)
    run(state, ("cheap",), cases=None, seconds=0.0, jobs=1)
    assert state.cases["cheap"] == 0


@pytest.fixture
def command(tmp_path: Path) -> Any:
    def call(*args: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTNGEN_CACHE_DIR": str(tmp_path / "cache")}
        line = [sys.executable, "-m", "attngen", "fuzz", *args]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return call


def test_the_command_runs_and_goes_on(command: Any) -> None:
    first = command("--cases", "3", "--seed", "7", "--jobs", "1", "--json")
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert document["cases"]["cheap"] == 3
    assert document["cases"]["kernels"] + document["refused"] == 3
    assert document["failures"] == []
    again = command("--cases", "3", "--seed", "7", "--resume", "--jobs", "1")
    assert "0 failures" in again.stdout
    assert "seed 7: 3 kernels, 3 cheap cases" in again.stdout


@pytest.mark.parametrize(
    "wrong",
    [("--only", "everything"), ("--backend", "cuda"), ("--cases", "0"), ("--minutes", "inf"), ("--minutes", "nan")],
)
def test_bad_options_are_refused(command: Any, wrong: tuple[str, str]) -> None:
    done = command(*wrong)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
