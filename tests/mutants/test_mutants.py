"""The catalogue of faults fits the code, and a few of them are tried in every run. `make mutants` tries all."""

from __future__ import annotations

import pytest

from tests.mutants.catalogue import ROOT, SELECTIONS, Mutant, mutants
from tests.mutants.run import Outcome, share, try_mutant

ALL = mutants()
FAST = [mutant for mutant in ALL if mutant.fast]


def test_every_fault_has_its_place() -> None:
    """A fault whose text is gone tests nothing: give it the new text, or another fault."""
    wrong = []
    for mutant in ALL:
        try:
            changed = mutant.applied((ROOT / mutant.file).read_text(encoding="utf-8"))
        except ValueError as error:
            wrong.append(str(error))
            continue
        if mutant.file.endswith(".py"):
            compile(changed, mutant.file, "exec")
    assert not wrong, "\n".join(wrong)


def test_there_are_many_faults_of_every_kind() -> None:
    assert len(ALL) >= 60
    assert len({(mutant.area, mutant.name) for mutant in ALL}) == len(ALL)
    assert {mutant.tests for mutant in ALL} == set(SELECTIONS)
    explained = [mutant.name for mutant in ALL if mutant.survives]
    assert len(explained) <= 0.05 * len(ALL), explained


@pytest.mark.parametrize("mutant", FAST, ids=[mutant.name for mutant in FAST])
def test_a_fault_is_noticed(mutant: Mutant) -> None:
    outcome = try_mutant(mutant, timeout_s=60)
    assert outcome.state == "caught", f"{mutant.file}: {mutant.new!r} for {mutant.old!r}: {outcome}"


def test_a_fault_that_is_none_survives() -> None:
    """The runner itself: what changes nothing is not caught, and what cannot start proves nothing."""
    old, file = "ATOM = 100\n", "attngen/expr/printer.py"
    assert try_mutant(Mutant("x", "no fault", file, old, "ATOM = 101\n", "quick")).state == "survived"
    assert try_mutant(Mutant("x", "no Python", file, old, "ATOM = \n", "quick")).state == "broken"


def test_the_share_leaves_out_what_is_no_fault() -> None:
    fault = Mutant("x", "a", "f", "o", "n", "quick")
    none = Mutant("x", "b", "f", "o", "n", "quick", survives="the two texts mean the same")
    caught, survived = Outcome("caught", "t", 1.0), Outcome("survived", "", 1.0)
    assert share([fault, none], [caught, survived]) == 1.0
    assert share([fault, fault], [caught, survived]) == 0.5
