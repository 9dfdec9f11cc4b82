"""Who is out, who has won: as times say, and no sooner."""

from __future__ import annotations

import random

from attngen.tune.race import beats, gain, is_out, leader, middle_half


def test_one_slow_round_is_an_accident_unless_it_is_far_off() -> None:
    assert not is_out([1.2], (1.0,))
    assert is_out([1.3], (1.0,))


def test_a_round_that_was_better_keeps_it_in() -> None:
    assert is_out([1.06, 1.05], [1.0, 1.01])
    assert not is_out([1.06, 1.005], [1.0, 1.01])
    assert not is_out([1.012, 1.012], [1.0, 1.01]), "after two rounds the gap has to be clear"
    assert is_out([1.012, 1.012, 1.012], [1.0, 1.01, 1.0])


def test_equals_are_seldom_put_out() -> None:
    rng = random.Random(0)
    out = 0
    for _ in range(2000):
        mine, best = ([rng.gauss(0.9, 0.02) for _ in range(3)] for _ in range(2))
        out += is_out(mine, best)
    assert out / 2000 < 0.08


def test_the_untuned_plan_leads_where_nothing_is_better() -> None:
    a, b = (("block_m", 16),), (("block_m", 32),)
    assert leader({}) == (1.0,)
    assert leader({a: [1.1, 1.2], b: []}) == (1.0,)
    assert leader({a: [0.9, 0.95], b: [0.8, 1.0]}) == [0.8, 1.0]


def test_a_gain_within_its_noise_changes_nothing() -> None:
    assert beats([0.9, 0.91, 0.89, 0.9, 0.92])
    assert not beats([0.9, 1.1, 0.85, 1.05, 0.95]), "it swings more than it gains"
    assert not beats([0.995] * 5), "half a percent is no reason"
    assert not beats([0.9, 0.9, 0.9, 0.9, 1.02]), "one round of five goes the other way"
    assert beats([0.9] * 9 + [1.01, 1.02]), "two of eleven are luck"
    assert not beats([])


def test_noise_alone_seldom_wins() -> None:
    rng = random.Random(1)
    for rounds in (3, 5, 8, 11):
        won = sum(beats([rng.gauss(1.0, 0.03) for _ in range(rounds)]) for _ in range(2000))
        assert won / 2000 < 0.05, rounds


def test_gain_and_noise() -> None:
    faster, noise = gain([0.5, 0.5, 0.5])
    assert (faster, noise) == (2.0, 0.0)
    assert middle_half([1.0, 2.0, 3.0, 4.0, 5.0]) == 1.0
