"""Building a variant: what comes back, what is tried, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import attngen as ag
from attngen.building import build as building
from attngen.building import search
from attngen.building.build import BuildError
from attngen.building.store import BuildStore
from attngen.building.workers import Workers
from attngen.machine_code.gates import Failure

CAUSAL = ag.AttentionSpec(name="small", heads=4, head_dim=64, mask=ag.causal())


class NoWorkers(Workers):
    def ask(self, request: Any) -> dict[str, Any]:
        raise AssertionError("it was compiled again")


def test_a_build_for_hopper(workers: Workers, store: BuildStore) -> None:
    built = ag.build(CAUSAL, target="sm_90", workers=workers, store=store)
    assert built.failures == ()
    assert (built.target.arch, built.plan.arch) == ("sm_90", "sm_90")
    assert built.source == ag.generate(CAUSAL, built.target.name, plan=built.plan).text
    ((name, kernel),) = built.artifacts.items()
    assert "forward" in name
    assert kernel.binary.startswith(b"\x7fELF")
    assert "HGMMA" in kernel.asm
    assert kernel.num_warps == built.plan.num_warps
    assert kernel.occupancy >= built.plan.occupancy
    assert 0 < kernel.shared_bytes <= built.target.smem_per_block
    assert 0 < kernel.registers <= 255
    full, masked = (loop for loop in kernel.loops if loop.main)
    assert (full.masked, masked.masked) == (False, True)
    assert full.flops == masked.flops == 2 * built.plan.block_m * built.plan.block_n * 128
    assert full.slots_per_kflop is not None
    assert masked.slots > full.slots > 0
    assert dict(full.cycles)["matrix"] == full.flops / built.target.mma_rate("bf16")


def test_what_was_built_is_not_compiled_again(workers: Workers, store: BuildStore) -> None:
    first = ag.build(CAUSAL, target="sm_90", workers=workers, store=store)
    again = ag.build(CAUSAL, target="h100", workers=NoWorkers(1), store=store)
    assert again.forward.binary == first.forward.binary
    assert again.forward.loops == first.forward.loops


def test_words_about_a_kernel_do_not_make_another_one() -> None:
    made = ag.generate(CAUSAL, "sm_90")
    other = ag.generate(CAUSAL.replace(name="other", doc="Something else."), "h100", plan=made.plan)
    jobs = [building.job_of(item, building.find_target("sm_90")) for item in (made, other)]
    assert made.text != other.text
    assert jobs[0] == jobs[1]
    lines = made.text.splitlines()
    line = next(i for i, text in enumerate(lines) if text.startswith("def attention_forward"))
    assert jobs[0].source.splitlines()[line] == lines[line]


def test_a_build_for_amd(workers: Workers, store: BuildStore) -> None:
    kernel = ag.build(CAUSAL, target="gfx942", workers=workers, store=store).forward
    assert "v_mfma" in kernel.asm
    assert kernel.occupancy >= 1
    assert any(loop.main and loop.decoded for loop in kernel.loops)


def test_the_next_plan_is_tried_and_the_first_is_said(
    workers: Workers, store: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = building.failures, []

    def once(*args: Any) -> tuple[Failure, ...]:
        seen.append(args)
        return (Failure("waits", "made up"),) if len(seen) == 1 else real(*args)

    monkeypatch.setattr(building, "failures", once)
    built = ag.build(CAUSAL, target="sm_90", workers=workers, store=store)
    assert len(built.tried) >= 1
    assert str(built.tried[0].failures[0]) == "waits: made up"
    assert built.plan != built.tried[0].plan


def test_a_target_that_no_plan_passes_on_is_refused_with_every_reason(
    workers: Workers, store: BuildStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MOST_TRIES", 2)
    monkeypatch.setattr(building, "failures", lambda *args: (Failure("waits", "24 > 3"),))
    with pytest.raises(ag.AttngenError, match="passes the gates on H100") as caught:
        ag.build(CAUSAL, target="sm_90", workers=workers, store=store)
    assert str(caught.value).count("waits: 24 > 3") == 2


def test_a_whole_plan_is_obeyed_and_judged(workers: Workers, store: BuildStore) -> None:
    plan = replace(ag.build(CAUSAL, target="sm_90", workers=workers, store=store).plan, occupancy=9)
    built = ag.build(CAUSAL, target="sm_90", plan=plan, workers=workers, store=store)
    assert [failure.gate for failure in built.failures] == ["occupancy"]
    assert "9 were planned" in built.failures[0].text


def test_what_the_compiler_says_reaches_the_caller(store: BuildStore) -> None:
    class Broken(Workers):
        def ask(self, request: Any) -> dict[str, Any]:
            return {"error": "RuntimeError: PassManager::run failed"}

    spec = CAUSAL.replace(head_dim=32)
    with pytest.raises(BuildError, match=r"sm_90, triton .*PassManager::run failed"):
        ag.build(spec, target="sm_90", workers=Broken(1), store=store)
