"""The loops as printed, proven for all lengths, parameters, data, query tiles, rows and keys at once."""

from __future__ import annotations

import pytest

from tests.proofs.cases import CASES, LISTED, SHAPES, Case, Shape, emitted, prover
from tests.proofs.isolated import unproven


@pytest.mark.parametrize("name", CASES)
def test_the_printed_loops_visit_what_they_must_and_mask_what_they_must(name: str) -> None:
    wrong = unproven(name)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [name for name in CASES if name != "nothing"])
def test_the_assumptions_can_be_met(name: str) -> None:
    for shape in (Shape(64, 64), Shape(128, 128), Shape(64, 128, pack=4)):
        if not CASES[name].listed(shape):
            assert prover(emitted(CASES[name], shape)).anything_kept()


@pytest.mark.parametrize("name", LISTED)
def test_masks_without_a_closed_form_are_the_known_ones(name: str) -> None:
    """One that gains a closed form moves to `CASES`."""
    for shape in SHAPES:
        assert emitted(Case(LISTED[name]), shape).schedule.tile_list, f"{name}, {shape}"
