"""Expression strings: what they mean, that `show` and the parser are inverse, and how errors point."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attngen.language as ag
from attngen.errors import ExpressionError, SpecError
from attngen.expr.build import (
    B_IDX,
    H_IDX,
    KV_IDX,
    M_LEN,
    N_LEN,
    Q_IDX,
    SCORE,
    const,
    load,
    make,
    param,
    size,
)  # fmt: skip
from attngen.expr.op import BITS, COMPARISONS, FLOAT_FUNCTIONS, Expr, Kind, Op, Param, TensorRef
from attngen.expr.show import show
from attngen.language.grammar import Parser, parse_number, parse_score
from attngen.language.scope import Scope
from tests.language.dense import mask_spec, score_spec

W, C = Param("W", "int32"), Param("c", "float32")
T, F_, G, Z = (
    TensorRef("t", "int32", ("N",)),
    TensorRef("f", "fp32", ("H", "N")),
    TensorRef("g", "bool", ("B",)),
    TensorRef("z", "fp32", ()),
)


def scope() -> Scope:
    declared = {ref.name: ref for ref in (T, F_, G, Z)}
    return Scope(ag.Heads(8, 2), {"W": W, "c": C}, declared, parse_number)


def mask(text: str) -> Expr:
    return parse_number(text, scope())


LEAVES = {
    Kind.BOOL: st.sampled_from([const(True), const(False), load(G, (B_IDX,))]),
    Kind.INT: st.one_of(
        st.sampled_from([B_IDX, H_IDX, Q_IDX, KV_IDX, M_LEN, N_LEN, param(W), size(F_, 1), load(T, (KV_IDX,))]),
        st.integers(-(2**31), 2**31 - 1).map(const),
    ),
    Kind.FLOAT: st.one_of(
        st.sampled_from(
            [SCORE, param(C), load(F_, (H_IDX, Q_IDX)), load(Z, ()), const(math.inf), const(-math.inf), const(-0.0)]
        ),
        st.floats(allow_nan=False, width=64).map(const),
    ),
}


def nested(inner: dict[Kind, st.SearchStrategy[Expr]]) -> dict[Kind, st.SearchStrategy[Expr]]:
    """One level of every operation, of each kind, over the level below."""
    boolean, integer, real = inner[Kind.BOOL], inner[Kind.INT], inner[Kind.FLOAT]
    arithmetic = st.sampled_from([Op.ADD, Op.SUB, Op.MUL, Op.FLOORDIV, Op.MOD, Op.MIN, Op.MAX])
    signs = st.sampled_from([Op.NEG, Op.ABS])
    number = st.sampled_from([integer, real])
    return {
        Kind.BOOL: st.one_of(
            boolean,
            st.builds(make, st.sampled_from([Op.AND, Op.OR, Op.XOR]), boolean, boolean),
            st.builds(make, st.just(Op.NOT), boolean),
            st.builds(make, st.sampled_from([Op.EQ, Op.NE]), boolean, boolean),
            number.flatmap(lambda n: st.builds(make, st.sampled_from(sorted(COMPARISONS, key=str)), n, n)),
            st.builds(make, st.just(Op.WHERE), boolean, boolean, boolean),
        ),
        Kind.INT: st.one_of(
            integer,
            st.builds(make, arithmetic, integer, integer),
            st.builds(make, signs, integer),
            st.builds(make, st.sampled_from(sorted(BITS - {Op.BIT_NOT}, key=str)), integer, integer),
            st.builds(make, st.just(Op.BIT_NOT), integer),
            st.builds(make, st.just(Op.WHERE), boolean, integer, integer),
            st.builds(make, st.just(Op.TO_INT), st.one_of(boolean, real)),
            st.builds(lambda i: load(T, (make(Op.ADD, Q_IDX, i),)), integer),
        ),
        Kind.FLOAT: st.one_of(
            real,
            st.builds(make, st.one_of(arithmetic, st.just(Op.DIV)), real, real),
            st.builds(make, signs, real),
            st.builds(make, st.sampled_from(sorted(FLOAT_FUNCTIONS, key=str)), real),
            st.builds(make, st.just(Op.WHERE), boolean, real, real),
            st.builds(make, st.just(Op.TO_FLOAT), st.one_of(boolean, integer)),
        ),
    }


def expressions(depth: int) -> st.SearchStrategy[Expr]:
    level = LEAVES
    for _ in range(depth):
        level = nested(level)
    return st.one_of(*level.values())


@settings(max_examples=600)
@given(expressions(3))
def test_the_text_of_an_expression_parses_to_the_same_expression(expr: Expr) -> None:
    text = show(expr)
    parsed = parse_score(text, scope()) if expr.kind is Kind.FLOAT else parse_with_score(text)
    assert parsed is expr, f"{text}  ->  {parsed}"


def parse_with_score(text: str) -> Expr:
    return Parser(text, scope(), allow_score=True).whole()


@pytest.mark.parametrize(
    ("text", "bracketed"),
    [
        ("kv <= q & (q - kv < W | kv < 4)", "(kv <= q) & ((q - kv < W) | (kv < 4))"),
        ("kv < 1 | q < 2 & b < 3", "(kv < 1) | ((q < 2) & (b < 3))"),
        ("kv < 1 ^ q < 2 & b < 3", "(kv < 1) ^ ((q < 2) & (b < 3))"),
        ("kv < 1 | q < 2 ^ b < 3", "(kv < 1) | ((q < 2) ^ (b < 3))"),
        ("~g[b] & q < kv", "(~g[b]) & (q < kv)"),
        ("q - kv - 1", "(q - kv) - 1"),
        ("q // 2 * 3 % 5", "((q // 2) * 3) % 5"),
        ("q + kv * 2", "q + (kv * 2)"),
        ("-q // 2", "(-q) // 2"),
        ("-5 // 2", "(-5) // 2"),
        ("q * -kv", "q * (-kv)"),
        ("0 <= q - kv < W", "(0 <= q - kv) & (q - kv < W)"),
        ("0 < q <= kv != 5", "(0 < q) & (q <= kv) & (kv != 5)"),
        ("--q", "-(-q)"),
        ("t[q + 1] == t[kv]", "(t[(q + 1)]) == (t[(kv)])"),
        ("causal & sliding_window(W)", "(causal()) & (sliding_window(w=W))"),
        ("H * Hkv", "8 * 2"),
        ("t[-1]", "t[size(t, 0) + -1]"),
        ("min(q, kv)", "minimum(q, kv)"),
        ("max(q, kv)", "maximum(q, kv)"),
        ("clamp(q, 0, 5)", "minimum(maximum(q, 0), 5)"),
        ("0.5 + 1", "0.5 + 1.0"),
    ],
)
def test_precedence(text: str, bracketed: str) -> None:
    assert mask(text) is mask(bracketed)


def test_numbers() -> None:
    assert mask("-2147483648") is const(-(2**31))
    assert mask("1e3") is const(1000.0)
    assert mask(".5") is const(0.5)
    assert mask("-inf") is const(-math.inf)
    assert mask("-(5)").op is Op.NEG


def test_vocabulary_in_strings_is_the_vocabulary_of_python() -> None:
    ids = {"doc": (("N",), "int32")}
    for text, term, options in [
        ("causal", ag.causal(), {}),
        ("causal(align=top_left)", ag.causal(align="top_left"), {}),
        ('causal("top_left")', ag.causal(align="top_left"), {}),
        ("causal & (sliding_window(4) | sink(2))", ag.causal() & (ag.sliding_window(4) | ag.sink(2)), {}),
        ("sliding_window(3, 1)", ag.sliding_window(3, 1), {}),
        ("document(ids=doc)", ag.document(ids="doc"), {"tensors": ids}),
        ("document(doc)", ag.document(ids="doc"), {"tensors": ids}),
        ("document(ids=[0, 0, 1])", ag.document(ids=[0, 0, 1]), {}),
        ("neighborhood([4, 4], 3)", ag.neighborhood((4, 4), 3), {}),
        (
            "block_sparse([[true, false], [false, true]], block=[64, 32])",
            ag.block_sparse([[True, False], [False, True]], (64, 32)),
            {},
        ),
        ("bigbird(block=32, seed=7)", ag.bigbird(32, seed=7), {}),
        ("tree([-1, 0, 0])", ag.tree([-1, 0, 0]), {}),
        ("~(chunked(4) ^ dilated(2))", ~(ag.chunked(4) ^ ag.dilated(2)), {}),
    ]:
        assert mask_spec(text, **options).fingerprint == mask_spec(term, **options).fingerprint, text
        assert mask_spec(term.text, **options).fingerprint == mask_spec(term, **options).fingerprint, text
    table = {"table": ((32, "H"), "fp32")}
    for text, term, options in [
        ("softcap(30.0)", ag.softcap(30.0), {}),
        ("softcap(30)", ag.softcap(30.0), {}),
        ("alibi", ag.alibi(), {}),
        ("t5_bias(table, bidirectional=false)", ag.t5_bias("table", bidirectional=False), {"tensors": table}),
        ("score + 1", "score + 1.0", {}),
    ]:
        assert score_spec(text, **options).fingerprint == score_spec(term, **options).fingerprint, text


def test_a_declared_name_goes_before_the_vocabulary() -> None:
    spec = score_spec("score + bias[h, kv]", tensors={"bias": (("H", "N"), "fp32")})
    assert show(spec.definition.score) == "score + bias[h, kv]"


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("kv <= head", 7, "unknown name `head`"),
        ("kv <= q & caussal", 11, "did you mean `causal`"),
        ("kv <= q and q > 3", 9, "write & for and"),
        ("kv <= q && q > 3", 9, "write & for &&"),
        ("not q > 3", 1, "write ~ for not"),
        ("kv = q", 4, "write == for ="),
        ("kv ** 2 < q", 4, "pow(x, n)"),
        ("kv << 2 < q", 4, "shift_left(x, n)"),
        ("kv <= q & q", 9, "one side is of kind int"),
        ("~q < 3", 1, "put the condition in brackets"),
        ("kv <= (q", 9, "`)` is due"),
        ("kv <=", 6, "a value is due"),
        ("kv <= q)", 8, "does not continue"),
        ("", 1, "empty"),
        ("   ", 4, "empty"),
        ("kv <= q; import os", 8, "does not belong"),
        ("kv <= q.real", 8, "does not belong"),
        ("kv <= __import__('os')", 7, "unknown function"),
        ("kv <= 'q'", 7, "a value is due"),
        ("kv <= \"q", 7, "close the string"),
        ("kv < 2147483648", 6, "int32"),
        ("kv < 99999999999999999999", 6, "int32"),
        ("kv < 1e999", 6, "inf"),
        ("score < 1", 1, "a mask cannot depend on it"),
        ("alibi < 1", 1, "a score, not a mask"),
        ("t < 3", 1, "1 dimensions and 0 subscripts"),
        ("t[q, kv] < 3", 1, "1 dimensions and 2 subscripts"),
        ("t[0.5] < 3", 1, "subscripts are integers"),
        ("t(q) < 3", 1, "subscript it"),
        ("size(t, 1) < 3", 9, "no dimension 1"),
        ("size(u, 0) < 3", 6, "no declared tensor"),
        ("minimum(q) < 3", 1, "takes 2 argument(s)"),
        ("bit_and(q, 0.5) < 3", 1, "integer"),
        ("sliding_window()", 1, "its form is sliding_window(w, right=None)"),
        ("sliding_window(1, 2, 3)", 1, "its form is"),
        ("sliding_window(width=3)", 1, "its form is"),
        ("sliding_window(w=3, w=4)", 21, "given twice"),
        ("sliding_window(w=3, 4)", 21, "put it first"),
        ("sliding_window(0)", 1, "0 is no integer from 1 on"),
        ("sliding_window(where(causal(), 1, 2))", 28, "vocabulary entry inside"),
        ("document(ids=[q])", 15, "a list holds numbers"),
        ("document(ids=docs)", 1, "not a declared tensor"),
        ("neighborhood([4, 4], 9)", 1, "does not fit"),
    ],
)  # fmt: skip
def test_errors_point_at_the_column_and_name_the_way_out(text: str, column: int, says: str) -> None:
    with pytest.raises(ExpressionError) as info:
        mask_spec(text, tensors={"t": (("N",), "int32")})
    assert f"column {column}" in info.value.place
    assert says in str(info.value)
    line, caret = info.value.what.splitlines()[1:3]
    assert caret.index("^") - 2 == column - 1
    assert line.startswith("  ")


def test_masks_are_conditions_and_scores_are_numbers() -> None:
    with pytest.raises(ExpressionError, match="of kind int"):
        mask_spec("q - kv")
    with pytest.raises(ExpressionError, match="this is a condition"):
        score_spec("q < kv")
    assert score_spec("h").definition.score.kind is Kind.FLOAT


@pytest.mark.parametrize(
    "text",
    [
        "(" * 101 + "q" + ")" * 101 + " < 3", "-" * 200 + "q < 3", "~" * 200 + "causal", 
        "abs(" * 101 + "q" + ")" * 101 + " < 3",
        "t[" * 101 + "q" + "]" * 101 + " < 3", "document(ids=" + "[" * 101 + "0" + "]" * 101 + ")", "q < 3 " * 2000,
        "document(ids=[" + "0," * 6000 + "])",
    ],
)  # fmt: skip
def test_texts_are_bounded(text: str) -> None:
    with pytest.raises(SpecError):
        mask_spec(text, tensors={"t": (("N",), "int32")})


def test_a_text_of_blanks_is_bounded_too() -> None:
    with pytest.raises(ExpressionError, match="at most 10000"):
        mask_spec("kv <= q" + " " * 10_000)


def test_a_text_within_the_bounds_is_fine() -> None:
    assert mask_spec("(" * 95 + "q" + ")" * 95 + " < 3").definition.mask is mask("q < 3")
    assert mask_spec(" | ".join(f"kv == {i}" for i in range(800))).definition.mask.kind is Kind.BOOL


@settings(max_examples=300)
@given(st.text(alphabet="kvqbh0123.+-*/%<>=&|^~()[],! \nWtcausal\"'", max_size=40))
def test_any_text_parses_or_is_a_spec_error(text: str) -> None:
    with contextlib.suppress(SpecError):
        mask_spec(text)


def test_a_text_that_sharing_makes_too_long_is_cut() -> None:
    expr = mask("square(" * 90 + "q" + ")" * 90)
    assert "operations>" in show(expr)
    assert len(show(expr)) < 50_000
