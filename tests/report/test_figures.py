"""Numbers for people, held to definitions."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from attngen.report.figures import Axis, kendall_tau, middle_half, shown, shown_time, tick_text


def test_kendall_tau_counts_pairs() -> None:
    assert kendall_tau([1, 2, 3], [10, 20, 30]) == 1.0
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1.0
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 1], [1, 2]) is None
    assert kendall_tau([1], [1]) is None
    # tau-b of a table in Kendall's Rank Correlation Methods: ties on either side
    assert kendall_tau([1, 1, 2, 3], [1, 2, 2, 3]) == pytest.approx(4 / math.sqrt(5 * 5))


def test_kendall_tau_of_shuffled_lists() -> None:
    rng = random.Random(0)
    for _ in range(50):
        b = [rng.randrange(8) for _ in range(6)]
        a = list(range(6))
        pairs = list(itertools.combinations(range(6), 2))
        score = sum((b[j] > b[i]) - (b[j] < b[i]) for i, j in pairs)
        free = sum(b[i] != b[j] for i, j in pairs)
        assert kendall_tau(a, b) == (pytest.approx(score / math.sqrt(15 * free)) if free else None)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (3, "3"),
        (3.0, "3"),
        (0.00123456, "0.001235"),
        (48816.2, "48816"),
        (1.5e-9, "1.5e-09"),
        ("warm", "warm"),
    ],
)
def test_four_figures(number: float | int | str, text: str) -> None:
    assert shown(number) == text


def test_times_have_units() -> None:
    assert shown_time(0.05287) == "52.87 ms"
    assert shown_time(3.5e-10) == "0.3500 ns"
    assert tick_text(640e-6) == "640 µs"
    assert tick_text(999.9999e-6) == "1 ms"


def test_the_middle_half() -> None:
    assert middle_half([5.0]) == (5.0, 5.0)
    assert middle_half([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 4.0)


@pytest.mark.parametrize("values", [[1.0, 1.1], [2e-6, 3e-3], [7.0], [1e-9, 1e9], [0.9, 1.0, 1.3]])
def test_an_axis_has_ticks_in_order_within_it(values: list[float]) -> None:
    axis = Axis.over(values, 10, 110)
    places = [axis.at(value) for value in sorted(values)]
    assert all(10 <= place <= 110 for place in places)
    assert places == sorted(places)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(axis.low * 0.999 <= tick <= axis.high * 1.001 for tick in ticks)
