"""Real kernels of this machine: a sweep, what it keeps, and that compiling takes it."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import attngen as ag
from attngen.cli.app import app
from attngen.records.store import Store
from attngen.runtime.native.isa import detect
from attngen.tune.effort import EFFORTS, Effort
from attngen.tune.native import NativeKernels, Shape
from attngen.tune.session import tune
from tests.tune.kit import ROOT

torch = pytest.importorskip("torch")

SPEC = ag.AttentionSpec(name="causal", heads=2, head_dim=32, mask=ag.causal(), dtype="fp32")
TOML = 'name = "causal"\nheads = 2\nhead_dim = 32\nmask = "causal"\ndtype = "fp32"\n'


FEW = Effort("quick", 2, 2, 1, 1, 3, 0.002, 300.0, 1, learn=False)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of its own, and a quick sweep that is a very quick one, however busy the machine is."""
    monkeypatch.setitem(EFFORTS, "quick", FEW)
    monkeypatch.setenv("ATTNGEN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def attngen(*words: str, cache: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTNGEN_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "attngen", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False, **options)


def test_a_sweep_is_kept_and_compile_takes_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned = tune(SPEC, [256], "cpu")
    (result,) = tuned.results
    assert result.measured >= 2
    assert tuned.store == str(cache / "records.sqlite")
    with Store.open(readonly=True) as store:
        (decision,) = store.decisions()
        rows = store.measurements()
    assert {row.facts["cache"] for row in rows} == {"warm"}
    assert all(row.seconds > 0 and row.load >= 0 and row.at and 0 < row.error < 2 for row in rows)
    assert decision.subject.device and decision.subject.threads == 1

    # another decision than the untuned plan, so that taking it shows
    other = {**dict(result.untuned), "block_n": 24, "micro_n": 6}
    with Store.open() as store:
        from dataclasses import replace

        made = replace(decision.configuration, plan=other)
        store.decide(replace(decision, configuration=made, ratio=1.5, at="2199-01-01T00:00:00+00:00"))
    q, k, v = (torch.randn(1, 2, 256, 32) for _ in range(3))

    def plan_of(**options: Any) -> Any:
        attend = ag.compile(SPEC, backend="cpu", **options)
        out = attend(q, k, v)
        want, _ = ag.reference(SPEC, q, k, v)
        assert abs(out.numpy() - want).max() < 1e-4
        (loaded,) = attend.loaded.values()
        return loaded.emitted.plan

    assert plan_of().block_n == 24
    assert any("tuned on 2199-01-01 at prefill-256" in line for line in plan_of().reasons)
    assert plan_of(plan={"block_n": 32}).block_n == 32, "an explicit plan wins"
    assert not any("tuned" in line for line in plan_of(plan={"block_n": 32}).reasons)
    monkeypatch.setenv("ATTNGEN_TUNED", "0")
    assert plan_of().block_n == dict(result.untuned)["block_n"]
    monkeypatch.delenv("ATTNGEN_TUNED")
    text = str(ag.explain(SPEC, target=decision.subject.target, seqlen=256))
    assert text.count("  tuned on 2199") == 1
    other_dtype = ag.explain(SPEC.replace(dtype="bf16"), target=decision.subject.target, seqlen=256)
    assert "  tuned on" not in str(other_dtype)


def test_a_decision_that_does_not_fit_any_more_is_said(cache: Path) -> None:
    from dataclasses import replace

    from attngen.runtime.native.machine import processor
    from tests.records.kit import decision as any_decision

    made = any_decision()
    subject = replace(
        made.subject, spec=SPEC.fingerprint, dtype="fp32", target=detect().arch, device=processor(), kind="timed"
    )
    usual = ag.pipeline.generate(SPEC, detect().arch).plan
    unfit = replace(made.configuration, plan={"block_n": 63})
    other = replace(made.configuration, plan={"block_n": 16})
    for untuned, configuration, said in (
        (usual.block_n, unfit, "does not fit any more"),
        (usual.block_n + 1, other, "not the untuned one any more"),
    ):
        with Store.open() as store:
            store.decide(replace(made, subject=subject, configuration=configuration, untuned={"block_n": untuned}))
        plan = ag.pipeline.generate_tuned(SPEC, detect().arch).plan
        assert plan.block_n == usual.block_n
        assert said in plan.reasons[-1]


def test_a_window_that_is_passed_is_part_of_what_was_measured(tmp_path: Path) -> None:
    spec = SPEC.replace(mask=ag.causal() & ag.sliding_window("W"), params={"W": "int32"})
    near, far = (
        NativeKernels(spec, detect(), "fp32", Shape(1, 256, 256), tmp_path, values={"W": window})
        for window in (16, 200)
    )
    one, other = near.configuration(near.space.untuned), far.configuration(far.space.untuned)
    assert one.source == other.source
    assert one.versions != other.versions, "the times of one window say nothing of another"


DOCUMENTS = ag.AttentionSpec(
    name="documents", heads=2, head_dim=32, mask=ag.causal() & ag.document("ids"),
    tensors={"ids": ag.TensorSpec(shape=("N",), dtype="int32")},
)  # fmt: skip


def test_tensors_that_are_passed_are_timed_and_part_of_what_was_measured(tmp_path: Path) -> None:
    short, long = (torch.arange(256, dtype=torch.int32) // size for size in (4, 128))
    versions = set()
    for ids in (short, long):
        captured = DOCUMENTS.replace(mask=ag.causal() & ag.document(ids=ids), tensors={})
        for spec, values in ((DOCUMENTS, {"ids": ids}), (captured, {})):
            made = NativeKernels(spec, detect(), "fp32", Shape(1, 256, 256), tmp_path, values)
            configuration = made.configuration(made.space.untuned)
            versions.add((spec.name, bool(values), configuration.versions))
            described = made.large.launch(made.kept(made.space.untuned))
            (file,) = (named["file"] for named in described["named"].values())
            assert ids.numpy().tobytes() in Path(file).read_bytes()
    assert len(versions) == 4, "the times of some documents say nothing of others"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"idz": torch.zeros(256, dtype=torch.int32)}, "did you mean `ids`"),
        ({"ids": [0] * 256}, "not a torch tensor"),
        ({"ids": torch.zeros(255, dtype=torch.int32)}, "shape .255., expected .N."),
        ({"ids": torch.zeros(256)}, "the spec says int32"),
    ],
)
def test_tensors_that_a_call_would_not_take(values: dict[str, Any], said: str, cache: Path) -> None:
    with pytest.raises(ag.errors.CallError, match=said):
        tune(DOCUMENTS, [256], "cpu", values=values)


@pytest.mark.parametrize(
    "spec",
    [
        ag.AttentionSpec(name="decode", heads=(4, 2), head_dim=32, mask=ag.causal()),
        ag.AttentionSpec(name="documents", heads=2, head_dim=32, mask=ag.causal() & ag.document("ids"),
                         tensors={"ids": ag.TensorSpec(shape=("B", "N"), dtype="int32")}),
        ag.AttentionSpec(name="sigmoid", heads=2, head_dim=32, normalizer=ag.sigmoid()),
    ],
    ids=lambda spec: spec.name,
)  # fmt: skip
def test_every_kind_of_kernel_is_checked_and_timed(spec: ag.AttentionSpec, cache: Path) -> None:
    shape, dtype = ((1, 1, 700), "bf16") if spec.name == "decode" else (300, "fp16")
    (result,) = tune(spec, [shape], "cpu", dtype=dtype).results
    assert result.measured >= 2
    assert not result.failures


def test_the_command_line(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "causal.toml"
    file.write_text(TOML)
    done = CliRunner().invoke(app, ["tune", str(file), "--target", "cpu", "--seqlen", "256", "--json"])
    assert (done.exit_code, done.stderr) == (0, ""), "stdout is for a program, and stderr for nobody"
    first = json.loads(done.stdout)
    assert {"best", "measured", "reused", "failed", "space", "seconds"} <= first.keys()
    assert first["measured"] > 0
    assert first["results"][0]["decided"]
    again = CliRunner().invoke(app, ["tune", str(file), "--seqlen", "256"])
    assert f"0 turns measured, {first['measured']} reused" in again.stdout
    made = CliRunner().invoke(app, ["generate", str(file), "--target", detect().arch, "--tuned"])
    assert "prefill-256" in made.stdout
    assert "the untuned plan, which is the fallback" in made.stdout
    from attngen.cli.tune import _known
    from attngen.language import toml

    said = _known(toml.load(file).fingerprint, cache / "records.sqlite")
    assert f"{first['measured']} turns of 1 shapes, 1 decisions" in said


def test_the_example_resumes_and_reports(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "causal.toml", tmp_path / "sweep"
    file.write_text(TOML)
    monkeypatch.setattr(sys, "argv", ["sweep.py", str(file), "--seqlen", "256", "--out", str(out)])
    for known in (False, True):
        runpy.run_path(str(ROOT / "examples" / "sweep.py"), run_name="__main__")
        said = capsys.readouterr().out
        assert ("are known already" in said, "(0 new, " in said) == (known, known)
    assert "<html" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "h100"), "--static"),
        (("--effort", "heroic"), "no effort"),
        (("--seqlen", "many"), "no list of lengths"),
        (("--seqlen", "0"), "no list of lengths"),
        (("--static",), "a CPU needs no static ranking"),
        (("--target", "nonsense"), "nonsense"),
        (("--store", "/dev/null/x"), "/dev/null"),
        (("--dtype", "int8"), "int8"),
    ],
)
def test_errors_are_one_screen(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    file = tmp_path / "causal.toml"
    file.write_text(TOML.replace('dtype = "fp32"\n', ""))
    done = attngen("tune", str(file), *words, cache=tmp_path / "cache")
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 40


def test_tuned_without_a_decision_names_the_command(tmp_path: Path) -> None:
    file = tmp_path / "causal.toml"
    file.write_text(TOML)
    done = attngen("generate", str(file), "--target", "cpu", "--tuned", cache=tmp_path / "cache")
    assert done.returncode == 2
    assert "attngen tune" in done.stderr


def test_ctrl_c_prints_what_is_known(tmp_path: Path) -> None:
    file, store = tmp_path / "causal.toml", tmp_path / "store.sqlite"
    file.write_text(TOML)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTNGEN_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "attngen", "tune", str(file), "--seqlen", "512", "--effort", "full", "--json"]
    process = subprocess.Popen(
        [*command, "--store", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # whoever started the tests in the background made their children deaf to it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.3)
        if store.exists():
            with Store.open(store, readonly=True) as opened:
                if len(opened.measurements()) >= 3:
                    break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)  # of a busy machine; it takes a second
    assert process.returncode == 130, err
    known = json.loads(out)
    assert known["interrupted"]
    assert known["measured"] >= 3
