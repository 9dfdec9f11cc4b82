"""A wrong text is refuted, with numbers at which the wrong can be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import z3

from attngen.expr.evaluate import Env, evaluate
from attngen.pipeline import Generated
from tests.proofs.cases import CASES, Shape, emitted, prover
from tests.proofs.claims import Refuted

SHAPE = Shape(64, 32)
NAMES = ("full", "causal", "causal, top left", "causal sliding_window", "streaming: sink or window", "prefix_lm",
         "document, ids", "chunked 200", "global_tokens", "fixed 128", "lengths, causal")  # fmt: skip

_BOUND = re.compile(r"^    ((full|edge)_(first|last)(_\d)?) = (.*)$", re.MULTILINE)


def _moved(text: str) -> Iterator[tuple[str, str]]:
    """Each printed bound of a loop one tile off: tiles left out, or (without the mask) too many."""
    for found in _BOUND.finditer(text):
        name, kind, end, _, value = found.groups()
        inwards = 1 if end == "first" else -1
        for by in (inwards, -inwards) if kind == "full" else (inwards,):
            moved = f"    {name} = {value} + {by}" if by > 0 else f"    {name} = {value} - {-by}"
            yield f"{name} {by:+}", text[: found.start()] + moved + text[found.end() :]


@pytest.mark.parametrize("name", NAMES)
def test_a_bound_one_tile_off_is_refuted(name: str) -> None:
    made = emitted(CASES[name], SHAPE)
    texts = list(_moved(made.text))
    assert texts
    for what, text in texts:
        refuted = prover(made, text).refutations()
        assert refuted, f"{what} goes unnoticed"
        for item in refuted:
            assert item.numbers, f"{what}: {item}"
            _judge(made, item)


def _judge(made: Generated, refuted: Refuted) -> None:
    """The counterexample by the oracle's own arithmetic, where no data decides: the pair is kept, or is not."""
    numbers = refuted.numbers
    if made.definition.tensors or refuted.claim not in ("visits", "full"):
        return
    index: dict[str, Any] = {name: np.array(numbers[name]) for name in ("b", "h", "q", "kv")}
    params = {param.name: numbers[param.name] for param in made.definition.params}
    kept = bool(evaluate(made.definition.mask, Env(index, {"B": 1, "M": numbers["M"], "N": numbers["N"]}, params)))
    assert (kept and 0 <= numbers["kv"] < numbers["N"]) is (refuted.claim == "visits"), str(refuted)


def test_a_counterexample_prints_as_lengths_and_a_pair() -> None:
    made = emitted(CASES["causal"], SHAPE)
    text = made.text.replace("64 * q_tile + N - M + 95, 32)", "64 * q_tile + N - M + 63, 32)")
    assert text != made.text
    (refuted,) = prover(made, text).refutations()
    assert re.fullmatch(r"visits: \(M, N, q, kv\) = \(\d+, \d+, \d+, \d+\) with b = \d+, h = \d+", str(refuted))


@pytest.mark.parametrize(
    ("name", "old", "new", "claim"),
    [
        ("causal", "offs_n[None, :] <= row_bound[:, None]", "offs_n[None, :] < row_bound[:, None]", "keep"),
        ("causal", "edge_first = tl.maximum(0, ", "edge_first = tl.minimum(0, ", "once"),
        ("full", "full_last = N // 32", "full_last = (N + 31) // 32", "full"),
        ("chunked 200", "floor_div(64 * q_tile + N - M, 200)", "(64 * q_tile + N - M) // 200", "visits"),
        ("document, ids", "tl.max(ids_last_max)", "tl.min(ids_last_max)", "visits"),
        ("document, ids", "aligned=True", "aligned=True", ""),
        ("sliding_window", "row_bound = offs_m + N - M", "row_bound = offs_m + M - N", "keep"),
    ],
)
def test_other_faults_are_refuted(name: str, old: str, new: str, claim: str) -> None:
    made = emitted(CASES[name], SHAPE)
    assert old in made.text
    found = {refuted.claim for refuted in prover(made, made.text.replace(old, new)).refutations()}
    assert (claim in found) if claim else not found


def test_the_helper_of_the_file_rounds_down() -> None:
    """`floor_div` as printed, evaluated with division that rounds to zero, for divisors of any sign."""
    made = emitted(CASES["chunked 200"], SHAPE)
    helper = made.text[made.text.index("def floor_div") : made.text.index("quotient - 1, quotient)")]
    assert [line.strip() for line in helper.splitlines()[2:]] == [
        "quotient = a // b",
        "remainder = a - quotient * b",
        "return tl.where((remainder != 0) & ((remainder < 0) != (b < 0)),",
    ]
    a = z3.Int("a")
    for b in (1, 2, 3, 32, 64, 128, 200, -1, -3, -128):
        size = abs(b)
        towards_zero = z3.If(a >= 0, a / size, -((-a) / size))
        quotient = towards_zero if b > 0 else -towards_zero
        remainder = a - quotient * b
        down = z3.If(z3.And(remainder != 0, (remainder < 0) != z3.BoolVal(b < 0)), quotient - 1, quotient)
        left = a - down * b  # what is left over has the sign of the divisor
        solver = z3.Solver()
        solver.add(z3.Not(z3.And(left >= 0, left < b) if b > 0 else z3.And(b < left, left <= 0)))
        assert solver.check() == z3.unsat, b
