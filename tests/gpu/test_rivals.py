"""The benchmark asks everyone for the same thing, counts what it needs, and times what it says. No GPU needed."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attngen.checking.tiles import dense
from attngen.oracle import reference
from attngen.tiling.call import Call
from tests.gpu import measure as measuring
from tests.gpu import report
from tests.gpu.device import CLOCKS, Gpu, clocks_of, versions
from tests.gpu.measure import AGREE, Result, Spread, difference, interleaved
from tests.gpu.rivals import OURS, Entry, Inputs, flash, flex, pairs_mask, sdpa
from tests.gpu.workloads import VARIANTS, WINDOW, Variant, Workload, workloads

N = WINDOW + 76


class Cpu(Gpu):
    """The real functions of the rivals, on the CPU and not compiled."""

    where = "cpu"

    def __init__(self) -> None: ...

    def compiled(self, function: Any) -> Any:
        return function


def small(variant: Variant, n: int = N) -> Workload:
    return Workload(variant, 1, (2, 1), 16, 1 if variant.decode else n, n, "bf16")


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_pairs_and_masks(variant: Variant) -> None:
    work = small(variant)
    spec = work.spec()
    call = Call(work.m, work.n, 1, 2, {}, {name: np.asarray(x) for name, x in spec.captured.items()})
    kept = dense(spec.definition.mask, call, 0, 0)[..., 0]
    assert kept.sum() == variant.pairs(work.m, work.n)
    assert work.flops == 4 * 16 * 2 * kept.sum()
    if variant.causal and not variant.decode:
        np.testing.assert_array_equal(pairs_mask(work, torch.device("cpu")).numpy(), kept)


def plain_flash(
    q: Any, k: Any, v: Any, *, causal: bool, window_size: tuple[int, int] = (-1, -1), softcap: float = 0.0
) -> tuple[Any, None]:
    """FlashAttention's conventions: [B, M, H, D], causal aligned at the last key, (left, right) of a window."""
    q, k, v = (x.transpose(1, 2).float() for x in (q, k, v))
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    scores = softcap * torch.tanh(scores / softcap) if softcap else scores
    distance = torch.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2] - torch.arange(k.shape[2])
    keep = distance >= 0 if causal else distance == distance
    keep = keep & (distance <= window_size[0]) if window_size[0] >= 0 else keep
    out = torch.softmax(scores.masked_fill(~keep, -torch.inf), -1) @ v
    return out.transpose(1, 2), None


def plain_varlen(q: Any, k: Any, v: Any, *, cu_seqlens_q: Any, cu_seqlens_k: Any, **options: Any) -> Any:
    assert options.pop("max_seqlen_q") == options.pop("max_seqlen_k") == int((cu_seqlens_q.diff()).max())
    ends = cu_seqlens_q.tolist()
    parts = [slice(a, b) for a, b in itertools.pairwise(ends)]
    return torch.cat([plain_flash(q[None, p], k[None, p], v[None, p], **options)[0][0] for p in parts])


@pytest.mark.filterwarnings("ignore:flex_attention called without")  # eager is meant
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_everyone_computes_the_same(variant: Variant) -> None:
    work, device = replace(small(variant), batch=2, dtype="fp32"), Cpu()
    shapes = ((2, 2, work.m, 16), (2, 1, work.n, 16), (2, 1, work.n, 16))
    given = Inputs(*(device.random(shape, torch.float32, seed) for seed, shape in enumerate(shapes)))
    right = torch.from_numpy(reference(work.spec(), given.q, given.k, given.v)[0])
    ready = [
        sdpa(work, given, device),
        flex(work, given, device),
        flash("FlashAttention", work, given, plain_flash, plain_varlen),
    ]
    for entry in ready:
        if entry.call is None:
            assert (entry.name, variant.name) == ("SDPA", "softcap")
        else:
            assert difference(entry.restore(entry.call()), right) < 2e-5, entry.name  # a key more in the window is 1e-2


def test_a_difference_is_noticed() -> None:
    x = torch.ones(3)
    assert difference(x, x) == 0
    for other in (torch.tensor([1.0, 1.0, 1.1]), torch.ones(2), torch.tensor([1.0, 1.0, torch.nan])):
        assert difference(other, x) > AGREE


class Clock(Cpu):
    """Calls take as long as they say."""

    now = 0.0

    def event(self) -> Any:
        device = self

        class Event:
            def record(self) -> None:
                self.at = device.now

            def elapsed_time(self, end: Any) -> float:
                return float(end.at - self.at)

        return Event()

    def flush(self) -> None:
        self.now += 100.0

    def synchronize(self) -> None: ...

    def entry(self, name: str, ms: float, order: list[str], value: float = 1.0) -> Entry:
        def call() -> torch.Tensor:
            order.append(name)
            self.now += ms * (1 + 0.5 * (len(order) > 24))  # the clock drops in the middle of the run
            return torch.full((2, 2), value)

        return Entry(name, call)


def test_rounds_are_interleaved_and_ratios_survive_a_drifting_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "WARM_UP", 2)
    device, order = Clock(), list[str]()
    ready = [device.entry(OURS, 2.0, order), device.entry("rival", 3.0, order)]
    times = interleaved(ready, device, 20)
    assert order[:6] == [OURS, "rival", "rival", OURS, OURS, "rival"]
    assert [len(values) for values in times.values()] == [20, 20]
    assert set(times[OURS]) == {2.0, 3.0}
    assert Spread.of([b / a for a, b in zip(times[OURS], times["rival"], strict=True)]).median == pytest.approx(1.5)


def test_a_rival_with_another_result_stops_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    device, order = Clock(), list[str]()
    everyone = [
        device.entry(OURS, 2.0, order),
        device.entry("rival", 3.0, order, value=1.2),
        Entry("third", None, "no"),
    ]
    monkeypatch.setattr(measuring, "entries", lambda work, device: (None, everyone))
    monkeypatch.setattr(measuring, "plan_of", lambda attention, work: {})
    monkeypatch.setattr(measuring, "small_call_is_right", lambda *args: [])
    result = measuring.measure(small(VARIANTS[0]), device, set(), 3)
    assert result.wrong == ["rival differs from attngen by 0.2 of the largest value"]
    assert not result.timings
    everyone[1] = device.entry("rival", 3.0, order)
    result = measuring.measure(small(VARIANTS[0]), device, set(), 3)
    assert [timing.name for timing in result.timings] == [OURS, "rival", "third"]
    assert [timing.note for timing in result.timings] == ["", "", "no"]
    work = replace(small(VARIANTS[1]), n=2048, m=2048)
    plan = {"block_m": 1, "block_n": 2, "num_warps": 4, "num_stages": 2, "pack": 1, "descriptors": 0, "overlap": 0}
    page = report.markdown([Result(work, plan, result.timings)], {}, 3)
    assert "| 1.50 (1.50 to 1.50) | no |" in page
    wrong = report.markdown([Result(work, plan, wrong=["x"])], {}, 3)
    assert "not timed: results differ" in wrong


def test_spread() -> None:
    found = Spread.of([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (found.low, found.median, found.high) == (2.0, 3.0, 4.0)
    assert not Spread.of([1.0, math.nan]).measured
    assert not Spread.of([]).measured


def test_the_table_covers_what_it_should() -> None:
    every = list(workloads())
    assert {work.variant.name for work in every} == {variant.name for variant in VARIANTS}
    assert {(work.dim, work.n) for work in every} == {
        (d, n) for d in (64, 128) for n in (1024, 2048, 4096, 8192, 16384)
    }
    assert any(work.heads[0] != work.heads[1] for work in every if not work.variant.decode)
    assert len({str(work) for work in every}) == len(every)


def test_facts() -> None:
    assert {"torch", "triton"} <= versions().keys()
    line = "1755 MHz, 2619 MHz, 1980 MHz, 700.00 W, 41, 560.35.05\n"
    assert clocks_of(line)["clocks.sm"] == "1755 MHz"
    assert len(clocks_of(line)) == len(CLOCKS)
