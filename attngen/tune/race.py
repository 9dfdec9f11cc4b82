"""What times say: ratios to the untuned plan of the same round, who is out, who has won. Values in, values out."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from attngen.tune.space import Choice

Ratios = Sequence[float]
"""Of one configuration, a round each: its seconds over the untuned plan's of the same round. Below 1 is better."""

HOPELESS = 1.25
"""After one round: so much slower than the leader is no accident of a round."""
CLEAR = 1.03
"""After two rounds: the best of one is so much slower than the worst of the other."""
LEAST_GAIN = 1.01
"""A plan that is faster by less is not worth a plan of its own."""
LEAST_ROUNDS = 3
"""Final rounds without which nothing is decided."""
_ROUNDS = 5
_LEAST_GAIN_OF_FEW = 1.04
"""With fewer than `_ROUNDS` final rounds."""


def is_out(mine: Ratios, leader: Ratios) -> bool:
    """Whether a configuration is worse than the leader with confidence.

    Every round of it is worse than every round of the leader, and by the more the fewer rounds there are. With three
    rounds each, equals come out so one time in twenty.
    """
    if not mine or not leader:
        return False
    margin = (HOPELESS, CLEAR)[len(mine) - 1] if len(mine) <= 2 else 1.0
    return min(mine) > margin * max(leader)


def leader(ratios: Mapping[Choice, Ratios]) -> Ratios:
    """The rounds of the best by its median; the untuned plan, which is 1 by definition, where none is better."""
    known = [rounds for rounds in ratios.values() if rounds]
    best = min(known, key=statistics.median, default=(1.0,))
    return best if statistics.median(best) < 1.0 else (1.0,)


def middle_half(values: Sequence[float]) -> float:
    """Half the width of the middle half: the noise of a row of ratios."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2


def gain(ratios: Ratios) -> tuple[float, float]:
    """(how many times faster than the untuned plan, the noise of that): median and half the middle half."""
    gains = [1 / ratio for ratio in ratios]
    return statistics.median(gains), middle_half(gains)


def beats(ratios: Ratios) -> bool:
    """Whether it is faster than the untuned plan beyond noise: a plan is changed for a reason only.

    The gain exceeds its noise and `LEAST_GAIN`, and so few rounds go the other way that it would happen to equals
    about one time in thirty (a sign test). Fewer than five rounds cannot say as much: the gain has to be larger.
    """
    if len(ratios) < LEAST_ROUNDS:
        return False
    faster, noise = gain(ratios)
    against = sum(ratio >= 1.0 for ratio in ratios)
    least = LEAST_GAIN if len(ratios) >= _ROUNDS else _LEAST_GAIN_OF_FEW
    return faster - noise > 1.0 and faster >= least and against <= max(0, len(ratios) - _ROUNDS) // 3
