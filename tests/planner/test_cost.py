"""The cost model moves the right way when one thing changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attngen.planner.candidates import Candidate
from attngen.planner.constants import fitted
from attngen.planner.cost import Cost, estimate_cost, every_tile, guess_work, resident_blocks, tile_cycles
from attngen.planner.pipes import forward_tile
from attngen.planner.resources import estimate
from attngen.planner.waves import Work
from attngen.targets.load import find_target, load_targets
from attngen.targets.target import Target
from tests.planner.kit import problem

TILE = Candidate(128, 64, 8, 2, 1, (128,), (128,), False)
A100 = find_target("a100")


def cost(target: Target = A100, candidate: Candidate = TILE, work: Work | None = None, **options: object) -> Cost:
    asked = problem(**{"seqlen_q": 8192, "seqlen_kv": 8192, "masked": False, "dtype": "fp16", **options})  # type: ignore[arg-type]
    return estimate_cost(candidate, asked, target, estimate(candidate, asked, target), work)


@pytest.mark.parametrize("target", load_targets(), ids=lambda target: target.name)
def test_more_of_a_pipe_never_costs_time(target: Target) -> None:
    before = cost(target).us
    rates = tuple((kind, 2 * rate) for kind, rate in target.mma_flop_per_clk)
    for change in (
        {"mma_flop_per_clk": rates},
        {"exp_per_clk": 2 * target.exp_per_clk},
        {"fma_per_clk": 2 * target.fma_per_clk},
        {"smem_bytes_per_clk": 2 * target.smem_bytes_per_clk},
        {"dram_gbps": 2 * target.dram_gbps},
        {"boost_clock_mhz": 1.1 * target.boost_clock_mhz, "mma_clock_mhz": 1.1 * target.mma_clock_mhz},
    ):
        # L2 is given in bytes a second where it was measured, so a faster clock gets fewer a clock
        assert cost(replace(target, **change)).us <= before * (1 + 1e-9), change  # type: ignore[arg-type]
    assert cost(replace(target, mma_flop_per_clk=rates)).us < before or cost(target).limit in ("l2", "dram")


def test_more_work_takes_longer() -> None:
    assert cost(seqlen_kv=16384).us > 1.8 * cost().us
    assert cost(batch=2).us > 1.8 * cost().us
    assert cost(heads=(64, 8)).us > 1.8 * cost().us
    assert cost(exp_ops=2, tile_ops=8).us > 1.1 * cost().us


def test_what_the_schedule_skips_is_not_paid_for() -> None:
    asked = problem(seqlen_q=8192, seqlen_kv=8192)
    every = every_tile(TILE, asked)
    half = replace(every, full=tuple(tiles / 2 for tiles in every.full))
    assert 0.5 < cost(work=half).us / cost(work=every).us < 0.55


def test_masked_tiles_cost_more_than_full_ones() -> None:
    every = every_tile(TILE, problem(seqlen_q=8192, seqlen_kv=8192))
    masked = Work(every.masked, every.full, every.times)
    assert cost(work=every).us < cost(work=masked).us < 1.5 * cost(work=every).us


def test_a_tile_takes_at_least_its_longest_pipe_and_at_most_all_with_the_waits() -> None:
    for target in load_targets():
        asked = problem()
        tile = forward_tile(TILE, asked, target, 1 << 20)
        cycles = tile_cycles(tile, 2, target, fitted())
        lengths = [length for _, length in tile.pipes]
        assert max(lengths) <= cycles <= sum(lengths) + 1050, target.name


def test_a_causal_guess_is_half_of_the_tiles_and_the_real_ones_agree() -> None:
    asked = problem(seqlen_q=8192, seqlen_kv=8192)
    guessed, every = guess_work(TILE, asked), every_tile(TILE, asked)
    visited = (sum(guessed.full) + sum(guessed.masked)) * guessed.times
    assert not guessed.exact
    assert 0.5 <= visited / (sum(every.full) * every.times) <= 0.53
    causal = Work(tuple(float(2 * row) for row in range(63, -1, -1)), (2.0,) * 64, every.times)
    assert cost(work=causal).us == pytest.approx(cost(work=guessed).us, rel=0.05)


def test_fewer_blocks_than_fit_are_fewer() -> None:
    assert resident_blocks(4, 108, A100) == 1
    assert resident_blocks(4, 300, A100) == 3
    assert resident_blocks(2, 10**6, A100) == 2
    assert resident_blocks(2, 1, A100) == 1


def test_decoding_is_the_time_of_its_bytes() -> None:
    asked = problem(seqlen_q=1, seqlen_kv=32768, batch=16)
    few = Candidate(16, 64, 4, 2, 4, (128,), (128,), False)
    found = estimate_cost(few, asked, A100, estimate(few, asked, A100))
    bytes_us = 16 * 2 * 8 * 32768 * 256 / (A100.dram_gbps * 1e3)
    assert found.limit == "dram"
    assert bytes_us < found.us < 1.4 * bytes_us
