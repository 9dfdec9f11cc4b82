"""Lengths as people give them, what is explained at them, and the table of ranked plans."""

from __future__ import annotations

import pytest

import attngen as ag
from attngen.errors import SpecError
from attngen.explanation.lengths import lengths_of, parse_lengths
from attngen.sample import Sizes, mask_arguments, sample

CAUSAL = ag.AttentionSpec(name="c", heads=(8, 2), head_dim=64, mask=ag.causal())
WINDOW = CAUSAL.replace(mask=ag.causal() & ag.sliding_window(512))


@pytest.mark.parametrize(
    ("text", "means"),
    [("8192", 8192), ("8k", 8192), ("1K", 1024), ("1k,8k,128k", (1024, 8192, 131072)), ("77, 3", (77, 3))],
)
def test_texts(text: str, means: int | tuple[int, ...]) -> None:
    assert parse_lengths(text, "--seqlen") == means


@pytest.mark.parametrize("text", ["", "k", "8m", "1.5k", "1k,,2k", "0", "2097152k", "9" * 5000, "٣", "-1"])
def test_texts_that_are_no_length(text: str) -> None:
    with pytest.raises(SpecError, match="is no length"):
        parse_lengths(text, "--seqlen")


def test_one_length_brings_its_halves_and_several_are_exact() -> None:
    assert lengths_of(1000) == (125, 250, 500, 1000)
    assert lengths_of(1) == (1,)
    assert lengths_of([1000]) == (1000,)
    assert lengths_of((5, 3, 5)) == (3, 5)


@pytest.mark.parametrize("target", ["h100", "avx2"])
def test_costs_at_exactly_these_lengths(target: str) -> None:
    found = ag.explain(WINDOW, target, (512, 4096))
    assert [cost.seqlen for cost in found.costs] == [512, 4096]
    assert found.seqlen == 4096
    short, long = found.costs
    assert long.us / short.us < 0.6 * long.us_of_full_attention / short.us_of_full_attention
    grows = f"x {long.us / short.us:.1f} (x {long.us_of_full_attention / short.us_of_full_attention:.1f})"
    assert grows in found.text
    # one plan for all of them: the one of the longest
    assert found.plan == ag.explain(WINDOW, target, 4096).plan


def test_ranked_plans_have_every_limit() -> None:
    found = ag.explain(WINDOW, "a100", 4096)
    times = [round(price.us, 3) for price in found.ranked]
    assert times == sorted(times)
    assert len(found.ranked) == len(found.rivals) + 1
    chosen = [price for price in found.ranked if price.us == found.costs[-1].us]
    assert chosen
    for price in found.ranked:
        assert list(price.floors_us) == ["matrix", "issue", "fp32", "exp", "shared", "l2", "dram"]
        assert all(0 < floor < price.us for floor in price.floors_us.values())
        assert price.limit in price.floors_us
        counts = ag.schedule(WINDOW, price.choices["block_m"], price.choices["block_n"]).counts(4096)
        assert price.tiles == counts.tiles_full + counts.tiles_partial
        assert price.share == pytest.approx(price.tiles / counts.tiles_total)


def test_the_matrix_floor_is_the_products_at_the_peak() -> None:
    """By hand: visited tiles of 128 x 64 x (64 + 64) columns, 2048 FLOPs a clock on 108 multiprocessors at 1.41 GHz."""
    found = ag.explain(CAUSAL, "a100", 2048, plan={"block_m": 128, "block_n": 64})
    price = next(p for p in found.ranked if (p.choices["block_m"], p.choices["block_n"]) == (128, 64))
    tiles = 8 * sum(2 * row for row in range(1, 17))
    assert price.tiles == tiles
    assert price.floors_us["matrix"] == pytest.approx(tiles * 2 * 128 * 64 * 128 / 2048 / 108 / 1410)


def test_only_what_the_mask_reads_is_drawn() -> None:
    """A bias of every pair is not: it does not change which tiles there are."""
    table = ag.TensorSpec(("H", "M", "N"), "fp32")
    biased = CAUSAL.replace(score=ag.bias("table"), tensors={"table": table})
    assert mask_arguments(biased.definition, Sizes(1, 1 << 20, 1 << 20), {}).tensors == {}
    documents = CAUSAL.replace(
        mask=ag.causal() & ag.document("doc_id"), tensors={"doc_id": ag.TensorSpec(("B", "N"), "int32")}
    )
    drawn = mask_arguments(documents.definition, Sizes(1, 300, 300), {}).tensors
    assert list(drawn) == list(sample(documents.definition, Sizes(1, 300, 300), {}).tensors) != []


def test_ancestors_of_a_huge_tree_are_refused() -> None:
    tree = CAUSAL.replace(mask=ag.tree("parents"), tensors={"parents": ag.TensorSpec(("M",), "int32")})
    with pytest.raises(SpecError, match="shorter sequences"):
        ag.explain(tree, "h100", (1 << 17,))
