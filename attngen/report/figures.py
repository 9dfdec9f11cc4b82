"""Numbers for people: medians, rank correlation, axes, and times with their units."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_NARROW = 4.0  # a range of less than this factor is drawn linearly


def shown_time(seconds: float) -> str:
    """Three to four figures: ``52.87 ms``."""
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if seconds >= scale), _UNITS[-1])
    return f"{shown(seconds / scale)} {unit}"


def tick_text(seconds: float) -> str:
    """A round time without trailing zeros: ``640 µs``."""
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if seconds >= scale * 0.9999), _UNITS[-1])
    return f"{seconds / scale:.4g} {unit}"


def shown(number: float | int | str) -> str:
    """Four figures of a float; whole numbers and texts as they are."""
    if not isinstance(number, float):
        return str(number)
    if number.is_integer() and abs(number) < 1e6:
        return str(int(number))
    digits = max(0, 3 - math.floor(math.log10(abs(number))))
    return f"{number:.{digits}f}" if digits <= 6 and abs(number) < 1e9 else f"{number:.4g}"


def middle_half(numbers: Sequence[float]) -> tuple[float, float]:
    """The first and third quartile; of a single number, itself twice."""
    if len(numbers) < 2:
        return numbers[0], numbers[0]
    low, _, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return low, high


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Tau-b (ties count for neither side). 1: the same order. None: fewer than two, or one side is all ties."""
    agree = tied_a = tied_b = 0
    pairs = len(a) * (len(a) - 1) // 2
    for i in range(len(a)):
        for j in range(i):
            step_a, step_b = _sign(a[i] - a[j]), _sign(b[i] - b[j])
            agree += step_a * step_b
            tied_a += step_a == 0
            tied_b += step_b == 0
    free = (pairs - tied_a) * (pairs - tied_b)
    return agree / math.sqrt(free) if free else None


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from ``low`` to ``high`` as places from ``start`` to ``end``; logarithmic where the range is wide."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float) -> Axis:
        """An axis with a margin around ``values``, all positive. Values that are all equal stand in the middle."""
        low, high = min(values), max(values)
        margin = (high / low) ** 0.06 if high > low else 1.05
        return cls(low / margin, high * margin, start, end)

    @property
    def wide(self) -> bool:
        return self.high > _NARROW * self.low

    def at(self, value: float) -> float:
        """Where ``value`` stands, to a tenth."""
        low, high, value = (math.log(v) if self.wide else v for v in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> list[float]:
        """Three to seven round values."""
        if not self.wide:
            step = _nice((self.high - self.low) / 4)
            first = math.ceil(self.low / step)
            return [number * step for number in range(first, math.floor(self.high / step) + 1)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        ticks = [10.0**power * digit for power in powers for digit in (1, 2, 5)]
        found = [tick for tick in ticks if self.low <= tick <= self.high]
        return found[:: max(1, -(-len(found) // 7))]


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= step * 0.999)
