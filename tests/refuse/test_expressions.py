"""Masks and scores that are refused, from Python and from TOML, in one voice."""

from __future__ import annotations

import time

import pytest

import attngen as ag
from attngen.errors import SpecError
from attngen.language.toml import _string, loads
from tests.refuse.expressions import MASKS, SCORES
from tests.refuse.refused import GOOD, refused

TABLE = [("mask", name, *case) for name, case in MASKS.items()]
TABLE += [("score", name, *case) for name, case in SCORES.items()]
IDS = [f"{kind}-{name}" for kind, name, *_ in TABLE]


@pytest.mark.parametrize(("kind", "name", "text", "says"), TABLE, ids=IDS)
def test_it_is_refused(kind: str, name: str, text: str, says: str) -> None:
    arguments = {kind: text}
    error = refused(lambda: ag.AttentionSpec("x", 4, 64, **arguments), says)
    assert isinstance(error, SpecError)
    assert error.place.startswith(kind)
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        return  # no TOML file holds one
    of_file = refused(lambda: loads(f"{GOOD}{kind} = {_string(text)}\n"), says)
    assert (type(of_file), of_file.what, of_file.place) == (type(error), error.what, error.place)


@pytest.mark.parametrize(
    "text",
    [
        "square(" * 60 + "q" + ")" * 60 + " < 3",
        "(" * 95 + "q" + ")" * 95 + " < 3",
        " & ".join(f"q < kv + {i}" for i in range(200)),
        "q // 1 // 1 == kv % 2147483647",
        "where(false, q // 0, q) == kv",
        "2147483647 - 1 >= kv",
        "kv <= q & shift_left(1, 31) != 0 | true",
    ],
    ids=[
        "shared squares",
        "brackets",
        "many comparisons",
        "divisors",
        "a dead division",
        "the largest",
        "a dead shift",
    ],
)
def test_what_is_just_inside_the_bounds_compiles_in_time(text: str) -> None:
    start = time.process_time()
    ag.generate(ag.AttentionSpec("x", 4, 64, mask=text))
    assert time.process_time() - start < 10


def test_a_callable_is_judged_by_the_same_arithmetic() -> None:
    for mod, says in (
        (lambda b, h, q, kv: q // 0 == kv, "divides by zero"),
        (lambda b, h, q, kv: q % (q - q) == kv, "divides by zero"),
        (lambda b, h, q, kv: (q << 40) == kv, "32 bits"),
    ):
        refused(lambda mod=mod: ag.AttentionSpec("x", 4, 64, mask=mod), says)
