"""Lengths as people give them, and how a cost grows from one to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from attngen.errors import SpecError
from attngen.explanation.text import counts_heading, counts_row, table

if TYPE_CHECKING:
    from attngen.explanation.cost import Cost, Explanation

HALVES = 4
_THOUSAND = 1024


def lengths_of(seqlen: int | Sequence[int]) -> tuple[int, ...]:
    """One length: that and its halves, ascending. Several: exactly these, ascending, each once."""
    if isinstance(seqlen, int):
        return lengths_up_to(_checked(seqlen))
    if not isinstance(seqlen, (list, tuple)) or not seqlen:
        raise SpecError(f"{seqlen!r:.80} is no length", place="seqlen", remedy="an integer, or a list of integers")
    return tuple(sorted({_checked(length) for length in seqlen}))


def _checked(length: object) -> int:
    if not isinstance(length, int) or not 1 <= length < 2**31:
        raise SpecError(f"{length!r:.80} is no length", place="seqlen", remedy="use an integer from 1 to 2147483647")
    return length


def lengths_up_to(seqlen: int) -> tuple[int, ...]:
    """``seqlen`` and its halves, ascending."""
    return tuple(sorted({max(1, seqlen >> step) for step in range(HALVES)}))


def parse_lengths(text: str, place: str) -> int | tuple[int, ...]:
    """``8192`` and ``8k`` (k = 1024) are one length, ``1k,8k,128k`` several."""
    found = tuple(_length(word.strip(), place) for word in text.split(","))
    return found[0] if len(found) == 1 else found


def _length(word: str, place: str) -> int:
    digits, times = (word[:-1], _THOUSAND) if word[-1:] in ("k", "K") else (word, 1)
    number = int(digits) * times if digits.isascii() and digits.isdigit() and len(digits) < 100 else 0
    if not 1 <= number < 2**31:
        remedy = "integers from 1 to 2147483647, with commas between them; 8k is 8192"
        raise SpecError(f"`{word:.80}` is no length", place=place, remedy=remedy)
    return number


def growth(costs: Sequence[Cost]) -> list[str]:
    """Of each cost the time beside that of the length before: this mask, and full attention in brackets."""
    found = [""]
    for before, after in pairwise(costs):
        full = after.us_of_full_attention / before.us_of_full_attention
        found.append(f"x {after.us / before.us:.1f} (x {full:.1f})")
    return found


def exactly(known: Explanation, costs: tuple[Cost, ...]) -> Explanation:
    """The explanation with ``costs`` instead of those of a length and its halves."""
    rows = [
        (*counts_row(cost, 1e9), cost.limit, grown) for cost, grown in zip(costs, growth(costs), strict=True)
    ]  # fmt: skip
    lines = (
        known.text,
        "",
        "Cost at the lengths asked for",
        *table((*counts_heading("GFLOP"), "limit", "time grows"), rows),
    )
    return replace(known, costs=costs, text="\n".join(lines))
