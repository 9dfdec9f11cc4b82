"""Head chunks, packing and the space of plans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attngen.errors import PlanError
from attngen.language.definition import Blocks
from attngen.planner.candidates import candidates, describe_chunks, head_chunks, next_power_of_two
from attngen.targets.load import find_target
from tests.planner.kit import problem

H100 = find_target("h100")


@pytest.mark.parametrize(
    ("dim", "chunks"),
    [
        (1, (16,)),
        (16, (16,)),
        (24, (32,)),
        (40, (32, 16)),
        (64, (64,)),
        (72, (64, 16)),
        (80, (64, 16)),
        (96, (64, 32)),
        (112, (128,)),
        (128, (128,)),
        (160, (128, 32)),
        (192, (128, 64)),
        (224, (128, 64, 32)),
        (240, (256,)),
        (256, (256,)),
        (576, (256, 256, 64)),
    ],
)
def test_known_splits(dim: int, chunks: tuple[int, ...]) -> None:
    assert head_chunks(dim) == chunks


@given(st.integers(1, 700))
def test_chunks_cover_the_dimension_with_powers_of_two(dim: int) -> None:
    chunks = head_chunks(dim)
    assert sum(chunks) >= dim
    assert sum(chunks) - chunks[-1] < dim, "a chunk of padding alone"
    assert all(chunk >= 16 and chunk & (chunk - 1) == 0 for chunk in chunks)
    assert list(chunks) == sorted(chunks, reverse=True)
    assert sum(chunks) <= max(16, next_power_of_two(dim))


def test_no_chunks_for_nothing() -> None:
    with pytest.raises(PlanError, match="0"):
        head_chunks(0)


def test_padding_is_said_with_its_cost() -> None:
    assert "8 padded columns (11 % more" in describe_chunks(72, "query/key width")
    assert "2 dots of 96 columns instead of one of 128" in describe_chunks(96, "value width")


@pytest.mark.parametrize(
    ("heads", "seqlen_q", "pack"),
    [
        ((32, 8), 1, 4),
        ((8, 8), 1, 1),
        ((40, 8), 1, 8),  # a group of 5 takes 8 rows
        ((71, 1), 1, 128),
        ((32, 8), 16, 4),
        ((32, 8), 64, 1),
        ((32, 8), None, 1),
    ],
)
def test_few_queries_pack_the_group(heads: tuple[int, int], seqlen_q: int | None, pack: int) -> None:
    asked = problem(heads=heads, seqlen_q=seqlen_q, seqlen_kv=4096)
    assert asked.pack == pack
    assert all(candidate.pack == pack and candidate.block_m >= pack for candidate in candidates(asked, H100))


def test_pinned_blocks_pin_queries_and_keys() -> None:
    asked = problem(blocks=Blocks(q=32, kv=64), seqlen_q=1, seqlen_kv=4096)
    space = list(candidates(asked, H100))
    assert {candidate.block_m // candidate.pack for candidate in space} == {32}
    assert {candidate.block_n for candidate in space} == {64}


def test_fixed_fields_leave_the_rest_free() -> None:
    space = list(candidates(problem(), H100, {"num_warps": 4, "descriptors": 0}))
    assert {candidate.num_warps for candidate in space} == {4}
    assert not any(candidate.descriptors for candidate in space)
    assert len({candidate.block_m for candidate in space}) > 1


def test_descriptors_need_rows_of_sixteen_bytes() -> None:
    assert any(candidate.descriptors for candidate in candidates(problem(72), H100))
    assert not any(candidate.descriptors for candidate in candidates(problem(70), H100))
