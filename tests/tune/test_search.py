"""What is measured next: all of a small space, else what is near the best; the same history, the same proposal."""

from __future__ import annotations

import dataclasses

import pytest

from attngen.tune.effort import EFFORTS
from attngen.tune.search import fresh_order, has_surrogate, propose
from attngen.tune.space import Choice, Fragment, Space, choice_of, every

QUICK = EFFORTS["quick"]


def space_of(sizes: int) -> Space:
    """Two fields; the model's order is that of the product, and the untuned choice stands in the middle."""
    values = tuple(range(1, sizes + 1))
    fragments = (Fragment("a", values), Fragment("b", values))
    return Space(fragments, at(sizes // 2, sizes // 2), lambda choice: [], tuple(every(fragments, lambda choice: True)))


def at(a: int, b: int) -> Choice:
    return choice_of({"a": a, "b": b})


def bowl(choice: Choice, a: int = 9, b: int = 9) -> float:
    values = dict(choice)
    return 0.5 + 0.02 * ((values["a"] - a) ** 2 + (values["b"] - b) ** 2)


def sweep(space: Space, effort: object, failing: tuple[Choice, ...] = ()) -> dict[Choice, float | None]:
    history: dict[Choice, float | None] = {}
    while batch := propose(space, history, effort):  # type: ignore[arg-type]
        assert not set(batch) & set(history), "proposed twice"
        history |= {one: None if one in failing else bowl(one) for one in batch}
    return history


def test_all_of_a_small_space_is_measured() -> None:
    space = space_of(4)
    assert set(sweep(space, QUICK)) == set(space.ordered) - {space.untuned}


def test_a_sweep_ends_at_its_count_and_repeats_itself() -> None:
    space = space_of(12)
    first = sweep(space, QUICK)
    assert len(first) <= QUICK.most
    assert list(first) == list(sweep(space, QUICK))


@pytest.mark.parametrize("learn", [False, True])
def test_the_search_goes_downhill(learn: bool) -> None:
    if learn and not has_surrogate():
        pytest.skip("scikit-learn is not installed: pip install 'attngen[tune]'")
    space = space_of(12)
    history = sweep(space, dataclasses.replace(QUICK, most=60, tries=6, learn=learn))
    assert min(score for score in history.values() if score is not None) <= bowl(at(9, 8))
    assert len(history) <= 60 < len(space)


def test_it_ends_when_nothing_gets_better() -> None:
    space = space_of(12)
    history: dict[Choice, float | None] = {}
    while batch := propose(space, history, dataclasses.replace(QUICK, most=100)):
        history |= dict.fromkeys(batch, 1.5)
    assert len(history) == QUICK.batch * (QUICK.tries + 1)


def test_a_surrogate_learns_from_failures() -> None:
    if not has_surrogate():
        pytest.skip("scikit-learn is not installed: pip install 'attngen[tune]'")
    space = space_of(12)
    effort = dataclasses.replace(QUICK, most=40, tries=8, learn=True)
    # the larger a the better, but from 8 on all fail: what is proposed after some of them have stays away from there
    history: dict[Choice, float | None] = {one: None for one in space.ordered if dict(one)["a"] in (8, 10)}
    history |= {one: 0.9 - 0.05 * dict(one)["a"] for one in space.ordered if dict(one)["a"] in (2, 4)}
    batch = propose(space, history, dataclasses.replace(effort, most=len(history) + 5))
    assert batch
    assert all(dict(one)["a"] < 8 for one in batch), batch


def test_finalists_come_in_another_order_that_repeats() -> None:
    choices = [at(n, n) for n in range(8)]
    assert fresh_order(choices, "key") == fresh_order(list(reversed(choices)), "key")
    assert fresh_order(choices, "key") != choices
