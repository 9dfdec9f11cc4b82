"""The tuner for GPUs, with a worker that does everything but the launch: no time in here is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import attngen as ag
from attngen.errors import UnsupportedError
from attngen.records.row import Decision
from attngen.records.store import Store
from attngen.targets.load import find_target
from attngen.tune.effort import EFFORTS, Effort
from attngen.tune.gpu import LEAST_FLUSH, GpuKernels, flush_bytes
from attngen.tune.kernels import Shape
from attngen.tune.search import propose
from attngen.tune.session import tune

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from tests.tune.stubbed_gpu import QUICK_S, USUAL_S  # noqa: E402  # it needs torch

SPEC = ag.AttentionSpec(name="causal", heads=2, head_dim=32, mask=ag.causal(), dtype="fp16")
DEVICE = "NVIDIA H100 80GB HBM3"
FEW = Effort("quick", 6, 6, 2, 2, 5, 0.002, 1e6, 1, learn=False)


def test_a_sweep_with_everything_but_launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EFFORTS, "quick", FEW)
    monkeypatch.setenv("ATTNGEN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("attngen.tune.gpu.device_arch", lambda: (DEVICE, "sm_90"))
    monkeypatch.setattr("attngen.tune.gpu.WHERE", "cpu")
    monkeypatch.setattr("attngen.tune.job.WORKER", "tests.tune.stubbed_gpu")
    h100 = find_target("h100")
    kernels = GpuKernels(SPEC, h100, DEVICE, "fp16", Shape(1, 256, 256), tmp_path)
    broken, wrong, far, past, quick, usual = (dict(one) for one in propose(kernels.space, {}, FEW))
    ways = {"broken": broken, "wrong": wrong, "far": far, "past": past, "quick": quick}
    monkeypatch.setenv("STUBBED_GPU", json.dumps(ways))
    path = tmp_path / "store.sqlite"
    (result,) = tune(SPEC, [256], "h100", store=path).results
    reasons = {tuple(plan.items()): reason for plan, reason in result.failures}
    assert set(reasons) == {tuple(one.items()) for one in (broken, wrong, far, past)}, "each failure costs itself alone"
    assert "illegal memory access" in reasons[tuple(broken.items())]
    assert "plain fp16" in reasons[tuple(wrong.items())], "by the oracle, on the small case"
    assert "to another plan" in reasons[tuple(far.items())], "by the untuned plan, on the real shape"
    assert reasons[tuple(past.items())].endswith("wrong: it wrote past the rows of out")
    assert result.decided and dict(result.best) == quick
    assert result.ratio == pytest.approx(USUAL_S / QUICK_S)

    with Store.open(path, readonly=True) as store:
        rows = [row for row in store.measurements() if row.status == "measured"]
        (decision,) = store.decisions()
    assert decision.subject == kernels.subject
    assert {(row.subject.kind, row.subject.device, row.subject.target) for row in rows} == {("timed", DEVICE, "sm_90")}
    assert {tuple(row.configuration.plan.items()) for row in rows} == {
        tuple(sorted(one.items())) for one in (dict(kernels.space.untuned), quick, usual)
    }
    for row in rows:
        # the write is neither left out nor timed: see Clock
        assert row.seconds == pytest.approx(QUICK_S if dict(row.configuration.plan) == quick else USUAL_S)
        assert row.facts["cache"] == "cold"
        assert row.facts["flush_bytes"] == 2 * h100.l2_bytes
        assert row.facts["clock_mhz_before"] == "unknown"
        assert row.facts["registers"] == 128, "what the stub's driver says"
        assert 0 < row.error < 2
        assert "triton" in row.configuration.compiler and "triton" in row.configuration.versions
    again = tune(SPEC, [256], "h100", store=path).results[0]
    assert (again.measured, again.reused) == (0, result.measured)


@pytest.mark.parametrize(
    "spec",
    [
        ag.AttentionSpec(name="decode", heads=(4, 2), head_dim=32, mask=ag.causal()),
        ag.AttentionSpec(name="documents", heads=2, head_dim=32, mask=ag.causal() & ag.document("ids"),
                         tensors={"ids": ag.TensorSpec(shape=("B", "N"), dtype="int32")}),
        ag.AttentionSpec(name="windows", heads=2, head_dim=32, mask=ag.causal() & ag.sliding_window("W"),
                         params={"W": "int32"}),
        ag.AttentionSpec(name="listed", heads=2, head_dim=32, mask=ag.bigbird()),
        ag.AttentionSpec(name="sigmoid", heads=2, head_dim=32, normalizer=ag.sigmoid()),
    ],
    ids=lambda spec: spec.name,
)  # fmt: skip
def test_every_kind_of_call_reaches_its_launcher(spec: ag.AttentionSpec, tmp_path: Path) -> None:
    """The tensors that the worker makes again are those of the parent, and the emitted launcher takes them."""
    from attngen.tune.gpu_kernel import Launch

    shape = Shape(1, 1, 700) if spec.name == "decode" else Shape(2, 300, 300)
    kernels = GpuKernels(spec, find_target("h100"), DEVICE, "bf16", shape, tmp_path)
    job = json.loads(json.dumps(kernels.job(kernels.space.untuned)))
    assert (job["small"]["tiles"] is not None) == (spec.name == "listed")
    for case, inputs in (("small", kernels.small), ("large", kernels.large)):
        launch = Launch(job["source"], job[case], "cpu")
        for mine, theirs in zip(inputs.data[:3], launch._args, strict=False):
            assert torch.equal(mine, theirs)
            assert mine.stride() == theirs.stride()
        assert all(output.intact and torch.isnan(output.tensor).all() for output in launch._outputs.values())
    assert job["flush_bytes"] == 2 * find_target("h100").l2_bytes


def test_compile_takes_what_was_decided_on_this_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNGEN_CACHE_DIR", str(tmp_path))
    kernels = GpuKernels(SPEC, find_target("h100"), DEVICE, "fp16", Shape(1, 256, 256), tmp_path)
    untuned = kernels.space.untuned
    other = next(one for one in kernels.space.ordered if one != untuned)
    made, at = kernels.configuration(other), "2199-01-01T00:00:00+00:00"
    decided = Decision(kernels.subject, made, dict(untuned), 1.5, 0.0, tried=4, failed=0, sweep="one", at=at)
    with Store.open() as store:
        store.decide(decided)

    def fields(device: str) -> tuple[tuple[str, int], ...]:
        monkeypatch.setattr("attngen.targets.probe.device_arch", lambda: (device, "sm_90"))
        plan = ag.pipeline.generate_tuned(SPEC, "sm_90").gpu_plan
        assert any("tuned on 2199-01-01" in line for line in plan.reasons) == (device == DEVICE)
        return tuple((name, getattr(plan, name)) for name, _ in untuned)

    assert fields(DEVICE) == other
    assert fields("NVIDIA H200") == untuned, "times of another GPU say nothing here"


def test_a_small_cache_is_overwritten_generously() -> None:
    """Of eight caches of 4 MiB, as an MI300X has them, the table has one."""
    assert flush_bytes(find_target("mi300x")) == LEAST_FLUSH >= 2 * 8 * find_target("mi300x").l2_bytes


def test_without_such_a_gpu_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attngen.tune.gpu.device_arch", lambda: ("NVIDIA A100-SXM4-80GB", "sm_80"))
    with pytest.raises(UnsupportedError, match=r"H100.*\(sm_90\) are not timed on NVIDIA A100"):
        tune(SPEC, [256], "h100", store=tmp_path / "store.sqlite")
    monkeypatch.undo()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UnsupportedError, match="torch sees no GPU") as caught:
        tune(SPEC, [256], "h100", store=tmp_path / "store.sqlite")
    assert "--static" in str(caught.value)
    assert not (tmp_path / "store.sqlite").exists()
