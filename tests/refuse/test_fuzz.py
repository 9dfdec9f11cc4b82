"""Random texts and bytes: nothing but an error of ours comes out, in time, and what is accepted round-trips."""

from __future__ import annotations

import time
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

import attngen as ag
from attngen.errors import AttngenError
from attngen.expr.op import Expr, tensors
from attngen.expr.show import show
from attngen.language.functions import FUNCTIONS
from attngen.language.tokens import LONGEST_TEXT
from attngen.language.toml import dump, loads
from attngen.language.vocabulary import MASKS, SCORES
from tests.refuse.refused import GOOD, SECONDS, assert_one_screen
from tests.refuse.specs import SPECS

TENSORS = {"t": (("N",), "int32"), "u": (("H",), "fp32")}
TAIL = " & t[kv] + W + int(u[h]) < 2147483647"  # so that what is declared is used

WORDS = [
    *"b h q kv M N B H Hkv score W t u t[kv] u[h] true false inf nan and or not if lambda import __class__ x y".split(),
    *"0 1 2 3 64 2147483647 2147483648 0.5 1e3 1e999 -1 00 1. .5 '' 'x' \"kv\" size(t,0) t[0] t[-1] u[1.5]".split(),
    *MASKS, *SCORES, *FUNCTIONS,
]  # fmt: skip
SIGNS = "+ - * / // % ** < <= > >= == != & | ^ ~ ( ) [ ] , = . : ; { } @ $ # \\ ' \" && || << >> ! ? \n \t".split(" ")


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One level of the grammar over the level below; every form can come out slightly wrong."""
    sign = st.sampled_from("+ - * / // % < <= > >= == != & | ^".split())
    name = st.sampled_from([*FUNCTIONS, *MASKS, *SCORES, "size", "t", "u"])
    some = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(inner, sign, inner).map(" ".join),
        inner.map("({})".format),
        st.tuples(st.sampled_from("-~"), inner).map("".join),
        st.tuples(name, some).map(lambda x: f"{x[0]}({x[1]})"),
        st.tuples(st.sampled_from(["t", "u", "q"]), some).map(lambda x: f"{x[0]}[{x[1]}]"),
        st.tuples(name, st.sampled_from(["n", "w", "ids", "block", "x"]), inner).map(
            lambda x: f"{x[0]}({x[1]}={x[2]})"
        ),
    )


GRAMMAR = st.recursive(st.sampled_from(WORDS), _nested, max_leaves=12)
SOUP = st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(SIGNS)), max_size=30).map(" ".join)
# nearly all of these are valid, so that round trips are made too
NUMBERS = st.recursive(
    st.sampled_from("q kv h N W 1 3 t[kv]".split()),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*%"), inner).map(lambda x: f"({x[0]}) {x[1]} ({x[2]})"),
        st.tuples(inner, st.sampled_from("+-*%"), inner).map(" ".join),
        inner.map("-({})".format),
    ),
    max_leaves=6,
)
COMPARED = st.tuples(NUMBERS, st.sampled_from("< <= > >= == !=".split()), NUMBERS).map(" ".join)
VALID = st.one_of(COMPARED, st.tuples(COMPARED, st.sampled_from("&|^"), COMPARED).map(" ".join))
BYTES = st.binary(max_size=60).map(lambda data: data.decode("latin-1"))
TEXTS = st.one_of(NUMBERS, GRAMMAR, SOUP, st.text(max_size=80), BYTES)


def assert_ours(error: AttngenError) -> None:
    assert error.what
    assert error.remedy
    assert_one_screen(str(error))


def accepted(make: Callable[[], ag.AttentionSpec]) -> ag.AttentionSpec | None:
    """The spec, None where it is refused; anything but an error of ours comes through."""
    start = time.process_time()
    try:
        return make()
    except AttngenError as error:
        assert_ours(error)
        return None
    finally:
        assert time.process_time() - start < SECONDS


def spec(mask: str, score: str | None) -> ag.AttentionSpec | None:
    return accepted(
        lambda: ag.AttentionSpec("x", 4, 64, mask=mask, score=score, params={"W": "int32"}, tensors=TENSORS)
    )


def has_text(root: Expr) -> bool:
    """Lists and tables made of them have no text of their own, and a very long text is cut."""
    return all(not ref.captured and ref.derived is None for ref in tensors(root)) and len(show(root)) < LONGEST_TEXT


def check_mask(text: str) -> None:
    found = spec(f"({text}){TAIL}", None)
    if found is not None and has_text(found.definition.mask):
        again = spec(show(found.definition.mask), None)
        assert again is not None
        assert again.definition == found.definition


@settings(max_examples=700)
@given(TEXTS)
def test_a_mask_is_refused_or_round_trips(text: str) -> None:
    check_mask(text)


@settings(max_examples=400)
@given(VALID)
def test_what_is_valid_round_trips(text: str) -> None:
    check_mask(text)


@settings(max_examples=500)
@given(TEXTS)
def test_a_score_is_refused_or_round_trips(text: str) -> None:
    used = "q < 2147483647" + TAIL
    found = spec(used, text)
    if found is not None and has_text(found.definition.score):
        again = spec(used, show(found.definition.score))
        assert again is not None
        assert again.definition == found.definition


def load_or_refuse(text: str) -> None:
    found = accepted(lambda: loads(text))
    if found is not None:
        assert loads(dump(found)).fingerprint == found.fingerprint


TOML = [
    GOOD, 'mask = "causal"\n', 'score = ["alibi", "softcap(30.0)"]\n', '[params]\nW = "int32"\n', "[heads]\nq = 4\n",
    't = { shape = ["H"], dtype = "fp32" }\n', "[tensors]\n", 'doc = """\n', "blocks = {q = 64}\n", "scale = 0.5\n",
    'sink = "off_by_one"\n', 'normalizer = "sigmoid"\n', "tf32 = true\n", 'dtype = "bf16"\n', "\x00", "'''", "=", "\\",
]  # fmt: skip


@settings(max_examples=400)
@given(st.lists(st.one_of(st.sampled_from(TOML), st.text(max_size=20)), max_size=8).map("".join))
def test_a_spec_is_refused_or_round_trips(text: str) -> None:
    load_or_refuse(text)


@settings(max_examples=400)
@given(st.sampled_from(sorted(SPECS)), st.integers(0, 10**6), st.binary(min_size=1, max_size=4), st.integers(0, 9))
def test_bytes_in_the_middle_of_a_spec(name: str, at: int, data: bytes, gone: int) -> None:
    whole = SPECS[name][0].encode()[:5_000]
    at %= len(whole) + 1
    load_or_refuse((whole[:at] + data + whole[at + gone :]).decode("utf-8", "replace"))


def test_the_fuzz_accepts_some_and_refuses_some() -> None:
    """A strategy that nothing passes, or everything, would show nothing."""
    seen: list[bool] = []

    @settings(max_examples=300, database=None, derandomize=True)
    @given(GRAMMAR)
    def draw(text: str) -> None:
        seen.append(spec(f"({text} >= 0){TAIL}", None) is not None)

    draw()
    assert 10 < sum(seen) < len(seen) - 10, f"{sum(seen)} of {len(seen)} accepted"
