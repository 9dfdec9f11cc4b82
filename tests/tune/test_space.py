"""What may be tuned: fragments and their neighbours, and only what the planner's predicate lets through."""

from __future__ import annotations

import dataclasses

import pytest

import attngen as ag
from attngen import pipeline
from attngen.planner.cpu import CpuPlan, refusals
from attngen.targets.cpu import CpuTarget, find_cpu
from attngen.tune.space import Fragment, Space, choice_of, cpu_space, gpu_space

SPEC = ag.AttentionSpec(name="causal", heads=4, head_dim=64, mask=ag.causal())
TARGETS = ("avx512_bf16", "avx2", "neon")


def made(target: str, seqlen_q: int | None = None, spec: ag.AttentionSpec = SPEC) -> tuple[Space, CpuPlan, CpuTarget]:
    cpu = find_cpu(target)
    assert cpu is not None
    plan = pipeline.generate(spec, target, dtype="fp32", seqlen_q=seqlen_q).plan
    assert isinstance(plan, CpuPlan)
    return cpu_space(pipeline.problem_of(spec, "fp32", seqlen_q or 1024, 1024), cpu, plan), plan, cpu


def test_neighbours_of_a_value() -> None:
    sizes = Fragment("block_m", (16, 32, 64))
    assert sizes.neighbours(32) == (16, 64)
    assert sizes.neighbours(16) == (32,)
    assert sizes.neighbours(40) == (32, 64)
    assert sizes.with_value(40).values == (16, 32, 40, 64)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seqlen_q", [None, 1])
def test_the_space_is_what_the_planner_lets_through(target: str, seqlen_q: int | None) -> None:
    space, plan, cpu = made(target, seqlen_q)
    assert space.untuned in space.ordered
    assert len(set(space.ordered)) == len(space) > 20
    for choice in space.ordered[:: len(space) // 20]:
        assert not refusals(dataclasses.replace(plan, **dict(choice)), SPEC.head_dim, cpu)  # type: ignore[arg-type]
    refused = choice_of({**dict(space.untuned), "block_n": 63})
    assert refused not in space.ordered
    assert seqlen_q is not None or space.refusals(refused)


def test_neighbours_differ_in_one_or_two_steps_and_can_be() -> None:
    space, _, _ = made("avx2")
    near = space.neighbours(space.untuned)
    assert near
    known = set(space.ordered)
    for one in near:
        assert one in known
        assert 1 <= sum(value != dict(space.untuned)[name] for name, value in one) <= 2


def test_decoding_has_fragments_of_its_own() -> None:
    space, _, _ = made("avx2", 1)
    assert [one.name for one in space.fragments] == ["block_n", "micro_d", "prefetch", "split_keys"]
    quiet = choice_of({**dict(space.untuned), "prefetch": 0})
    assert quiet in space.ordered
    made_so = pipeline.generate(SPEC, "avx2", dtype="fp32", seqlen_q=1, plan=dict(quiet)).plan
    assert isinstance(made_so, CpuPlan)
    assert made_so.prefetch == 0, "no prefetching can be chosen"


def test_sizes_that_the_spec_pins_stay() -> None:
    spec = SPEC.replace(blocks=ag.Blocks(64, 32))
    space, _, _ = made("avx2", None, spec)
    assert {(dict(one)["block_m"], dict(one)["block_n"]) for one in space.ordered} == {(64, 32)}


def test_the_model_orders_the_space() -> None:
    space, _, _ = made("avx2")
    times = [space.predicted_us[one] for one in space.ordered]
    assert times == sorted(times)
    assert times[0] > 0
    assert len(times) == len(space)


def test_a_gpu_has_fragments_and_the_planners_predicate_too() -> None:
    target = ag.find_target("a100")
    space, plans = gpu_space(pipeline.problem_of(SPEC, "bf16", None, 4096), target)
    assert [one.name for one in space.fragments] == ["block_m", "block_n", "num_warps", "num_stages"]
    assert len(space) == len(plans) > 10
    assert not space.refusals(space.untuned)
    too_much = choice_of({"block_m": 128, "block_n": 128, "num_warps": 1, "num_stages": 4})
    assert too_much not in plans
    assert space.refusals(too_much)
    assert space.neighbours(space.untuned)
