"""Faults planted in real kernels: a wrong one never wins, a hanging or crashing one costs itself alone."""

from __future__ import annotations

import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import attngen as ag
from attngen.records.store import Store
from attngen.runtime.native.isa import detect
from attngen.tune.effort import Effort
from attngen.tune.native import NativeKernels, Shape
from attngen.tune.result import Result, TuneError
from attngen.tune.session import submitting, sweep
from attngen.tune.space import Choice, Space

pytest.importorskip("torch")

SPEC = ag.AttentionSpec(name="causal", heads=2, head_dim=32, mask=ag.causal())
EFFORT = Effort("test", 9, 9, 1, 2, 3, 0.002, 120.0, 2, learn=False)
ITEM = 'extern "C" void attngen_item(const Call *call_, int64_t item, void *scratch) {\n'
FAULTS = {
    "crashes": (ITEM, ITEM + "  *(volatile int *)8 = 1;\n"),
    "hangs": (ITEM, ITEM + '  for (;;) asm volatile("");\n'),
    # the quickest of all, if nobody looked
    "does nothing": (ITEM, ITEM + "  return;\n"),
    "leaves out what the oracle's small case has not": (
        ITEM,
        ITEM + "  if (call_->M > 300 && item % 7 == 3) return;\n",
    ),
    "writes past the end": (ITEM, ITEM + "  ((float *)call_->out)[call_->B * 2 * call_->M * 32 + 5] = 1.0f;\n"),
    "writes to its input": (ITEM, ITEM + "  ((float *)call_->q)[0] = 1.0f;\n"),
    "wants all memory": ("{ return sizeof(Scratch); }", "{ return (int64_t)1 << 46; }"),
    "does not compile": (ITEM, "#error planted\n"),
}
SAID = {
    "crashes": "crashed: SIGSEGV",
    "hangs": "took over 3 s",
    "does nothing": "wrong: out: NaN",
    "leaves out what the oracle's small case has not": "wrong: out: NaN or infinity where another plan has none",
    "writes past the end": "wrote past",
    "writes to its input": "crashed: SIGSEGV",
    "wants all memory": "no memory",
    "does not compile": "does not compile: ",
}


class Planted(NativeKernels):
    """A few configurations beside the untuned one, a fault in each but the last."""

    faults: tuple[str, ...] = ()

    @property
    def few(self) -> tuple[Choice, ...]:
        space = super().space
        return tuple(one for one in space.ordered if one != space.untuned)[: len(self.faults) + 1]

    @property
    def space(self) -> Space:  # type: ignore[override]
        space = super().space
        return Space(space.fragments, space.untuned, space.refusals, (space.untuned, *self.few))

    def compile_job(self, choice: Choice) -> dict[str, Any]:
        job = super().compile_job(choice)
        if choice in self.few[: len(self.faults)]:
            before, after = FAULTS[self.faults[self.few.index(choice)]]
            assert job["source"].count(before) == 1
            job["source"] = job["source"].replace(before, after)
        return job


def planted(faults: tuple[str, ...], folder: Path, executor: Executor | None = None) -> tuple[Result, Planted]:
    kernels = Planted(SPEC, detect(), "fp32", Shape(1, 384, 384), folder)
    kernels.faults = faults
    with Store.open(folder / "store.sqlite") as store, submitting(executor) as submit:
        return sweep(kernels, store, submit, EFFORT, "384", 120.0, None), kernels


def test_a_fault_costs_its_configuration_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attngen.tune.measure._LEAST_LIMIT_S", 3.0)
    monkeypatch.setattr("attngen.tune.measure._TIMES_UNTUNED", 0.0)
    result, kernels = planted(tuple(FAULTS), tmp_path)
    said = {kernels.faults[kernels.few.index(tuple(plan.items()))]: reason for plan, reason in result.failures}
    assert said.keys() == FAULTS.keys()
    for fault, reason in said.items():
        assert SAID[fault] in reason, fault
    assert (result.tried, result.failed) == (len(FAULTS) + 1, len(FAULTS))
    good = {tuple(dict(one).items()) for one in (kernels.space.untuned, kernels.few[-1])}
    assert tuple(result.best.items()) in good
    with Store.open(tmp_path / "store.sqlite", readonly=True) as store:
        rows = store.measurements()
        (decision,) = store.decisions()
    assert {tuple(row.configuration.plan.items()) for row in rows if row.status == "measured"} == good
    assert tuple(decision.configuration.plan.items()) in good
    # what failed is known: it is not tried again, so what hangs costs its time once
    begun = time.monotonic()
    second, _ = planted(tuple(FAULTS), tmp_path)
    assert (second.measured, second.failed) == (0, len(FAULTS))
    assert time.monotonic() - begun < 3.0 or second.reused == len(rows)


def test_an_untuned_plan_that_fails_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    class Broken(Planted):
        def compile_job(self, choice: Choice) -> dict[str, Any]:
            job = super().compile_job(choice)
            return {**job, "source": job["source"].replace(*FAULTS["crashes"])}

    kernels = Broken(SPEC, detect(), "fp32", Shape(1, 384, 384), tmp_path)
    with (
        Store.open(tmp_path / "store.sqlite") as store,
        submitting(None) as submit,
        pytest.raises(TuneError, match="untuned plan itself fails: crashed"),
    ):
        sweep(kernels, store, submit, EFFORT, "384", 120.0, None)


def test_any_executor_runs_the_jobs(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        result, kernels = planted(("crashes",), tmp_path, executor)
    assert [dict(plan) for plan, _ in result.failures] == [dict(kernels.few[0])]
    assert result.measured >= 3
