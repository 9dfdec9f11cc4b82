"""FlexAttention callables: what they compute when traced is what torch computes on index tensors."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import and_masks, create_mask, noop_mask, or_masks

from attngen.errors import TraceError
from attngen.expr.build import const, to_float
from attngen.expr.op import Op, leaves
from tests.language.dense import HEADS, at_every_point, mask_spec, score_spec

M, N = 8, 12
torch.manual_seed(0)
TABLE = torch.randn(HEADS, 31)
IDS = torch.tensor([0, 0, 1, 1, 1, 2, 2, 0, 5, 5, 5, 5])
FOUR = torch.randn(2, HEADS, M, N)
OFFSET = torch.randint(0, N, (N,))
FLAGS = torch.rand(M, N) > 0.5
WINDOW = torch.tensor([1, 2, 3, 9], dtype=torch.int32)
SCALAR, ONE = torch.tensor(1.5), torch.tensor([0.25])
GRID = np.random.default_rng(1).integers(0, 9, (M, N))


def eager_score(mod: Callable[..., Any], score: torch.Tensor) -> np.ndarray:
    """The mod by torch.vmap over every point, as FlexAttention's eager path does it."""
    for dims in [
        (0, None, None, None, 0),
        (0, None, None, 0, None),
        (0, None, 0, None, None),
        (0, 0, None, None, None),
    ]:
        mod = torch.vmap(mod, in_dims=dims)
    sizes = score.shape
    out = mod(score, *(torch.arange(size) for size in sizes))
    return out.double().numpy()


def assert_score(mod: Callable[..., Any], **options: Any) -> None:
    spec = score_spec(mod, **options)
    score = torch.randn(2, HEADS, M, N, dtype=torch.float64)
    got = at_every_point(spec, spec.definition.score, M, N, score=score.numpy())
    np.testing.assert_allclose(got, eager_score(mod, score), rtol=2e-6, atol=2e-6)


def assert_mask(mod: Callable[..., Any]) -> None:
    spec = mask_spec(mod)
    got = at_every_point(spec, spec.definition.mask, M, N)
    np.testing.assert_array_equal(got, create_mask(mod, 2, HEADS, M, N, device="cpu").numpy())


SCORES: dict[str, Callable[..., Any]] = {
    "operators": lambda s, b, h, q, k: (
        2 * s - (q + 1) / 3 + (k - 2 * q) // 3 % 4 + s * 0.5 - (-k) + abs(q - k) + 5 // (k + 1)
    ),
    "reflected": lambda s, b, h, q, k: 1 - s + 3 * q + 7 % (k + 1) + 1.0 / (1 + q) + 8 // (h + 1),
    "where": lambda s, b, h, q, k: torch.where(q >= k, s, s - 3.0),
    "where infinity": lambda s, b, h, q, k: torch.where(q >= k - 9, s, -float("inf")),
    "tanh": lambda s, b, h, q, k: 2 * torch.tanh(s / 2),
    "alibi": lambda s, b, h, q, k: s + (k - q) * torch.exp2(-((h + 1) * 8.0 / HEADS)),
    "powers": lambda s, b, h, q, k: (
        s**2 - s**3 / 9 + 2.0 ** (-h) + 2 ** (h * 0.5) + (q + 1) ** 0.5 + (k + 1) ** -1.0 + 3.0**h
    ),
    "logs": lambda s, b, h, q, k: torch.log(k + 1.0) + torch.log1p(q * 1.0) + torch.log2(k + 2.0) + (q + 1.0).log10(),
    "roots": lambda s, b, h, q, k: (
        torch.sqrt(q * 1.0) + torch.rsqrt(k + 1.0) + torch.exp(-abs(s)) + torch.reciprocal(k + 1.0)
    ),
    "angles": lambda s, b, h, q, k: torch.sin(s) + torch.cos(q * 0.1) + torch.tan(s * 0.1) + torch.erf(s),
    "activations": lambda s, b, h, q, k: (
        F.silu(s) + F.relu(s) + torch.sigmoid(s) + F.gelu(s) + F.softplus(s) + F.logsigmoid(s)
    ),
    "more activations": lambda s, b, h, q, k: F.gelu(s, approximate="tanh") + F.leaky_relu(s, 0.1) + F.hardtanh(s),
    "rounding": lambda s, b, h, q, k: (
        torch.floor(s * 3) + torch.ceil(s * 3) + torch.round(q / 2) + torch.trunc(s * 3) + s.sign()
    ),
    "extremes": lambda s, b, h, q, k: (
        torch.minimum(s, q * 0.1) + torch.maximum(q, k) + torch.clamp(s, -1, 1) + s.clamp(min=0) + s.clamp(max=0.5)
    ),
    "divisions": lambda s, b, h, q, k: (
        torch.div(q - 5, 3, rounding_mode="floor")
        + torch.floor_divide(q - 5, 3)
        + torch.remainder(q - 5, 3)
        + torch.true_divide(q, 3)
        + torch.div(q - 5, 3, rounding_mode="trunc")
        + torch.fmod(q - 5, 3)
    ),
    "functions of operators": lambda s, b, h, q, k: (
        torch.add(s, q, alpha=2) + torch.sub(s, k) + torch.mul(s, 2) + torch.neg(s) + torch.square(s)
    ),
    "methods": lambda s, b, h, q, k: (
        (q - k).abs().float() + s.tanh() + q.to(torch.float32) + s.float().exp() + (q > k).to(s.dtype) + s.pow(2)
    ),
    "conversions": lambda s, b, h, q, k: (
        s.int() + (q * 0.7).long() + (q % 2).bool() * s + (q >= k).int() + q.type_as(s) + q.double()
    ),
    "masked_fill": lambda s, b, h, q, k: s.masked_fill(q < k, -7.0),
    "bits": lambda s, b, h, q, k: s + ((q ^ k) & 3) + (q | 1) + (~k) + (q << 2) + (k >> 1) + torch.bitwise_and(q, k),
    "load": lambda s, b, h, q, k: s + TABLE[h, q - k + 15],
    "nested loads": lambda s, b, h, q, k: s + FOUR[b][h][q, k] - FOUR[b, h, q, OFFSET[k]] + FOUR[b, h][q][k],
    "a load of a slice": lambda s, b, h, q, k: s + FOUR[:, h][b, q][k] + FOUR[..., k][b, h, q],
    "constant subscripts": lambda s, b, h, q, k: s + TABLE[h, 0] + TABLE[-1][3] + TABLE[1, -2] + ONE[0],
    "a scalar tensor": lambda s, b, h, q, k: s * SCALAR + SCALAR,
    "a tensor made inside": lambda s, b, h, q, k: (
        torch.where(q >= k, s, torch.tensor(-2.0)) + torch.full_like(s, 3.0) + torch.ones_like(s)
    ),
    "a row": lambda s, b, h, q, k: s + (TABLE[h] * 0.1).sum() + TABLE[h].amax() + TABLE[h].mean(),
    "a dot of rows": lambda s, b, h, q, k: s + torch.dot(FOUR[b, h, q], FOUR[b, 0, 7 - q]),
    "an unrolled loop": lambda s, b, h, q, k: sum((TABLE[h, i] * (k == i) for i in range(3)), s),
}


MASKS: dict[str, Callable[..., Any]] = {
    "causal": lambda b, h, q, k: q >= k,
    "documents": lambda b, h, q, k: (IDS[q] == IDS[k]) & (q >= k),
    "window a head": lambda b, h, q, k: q - k < WINDOW[h],
    "bools": lambda b, h, q, k: (FLAGS[q, k] & (q > 1)) | ~FLAGS[q, 0] ^ (k == 2),
    "logical": lambda b, h, q, k: torch.logical_or(torch.logical_and(q > k, k % 2 == 0), torch.logical_not(k < 3)),
    "xor": lambda b, h, q, k: torch.logical_xor(q > 3, k > 3),
    "comparisons": lambda b, h, q, k: torch.eq(q, k) | torch.lt(q, 2) | torch.ge(k, 9) | q.ne(k).logical_and(k.gt(10)),
    "bool arithmetic": lambda b, h, q, k: ((q > 2).int() + (k > 2).int()) == 1,
    "any of a row": lambda b, h, q, k: (k.unsqueeze(-1) == WINDOW).any(dim=-1),
    "all of a row": lambda b, h, q, k: (k.unsqueeze(-1) > WINDOW).all(dim=-1),
    "and_masks": and_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: q - k < 3),
    "or_masks": or_masks(lambda b, h, q, k: q >= k, lambda b, h, q, k: IDS[q] == IDS[k]),
    "noop": noop_mask,
    "isnan": lambda b, h, q, k: torch.isnan(torch.log(q - 3.0)) | torch.isinf(1.0 / k),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SCORES)
def test_scores(name: str) -> None:
    assert_score(SCORES[name])


@pytest.mark.parametrize("name", MASKS)
def test_masks(name: str) -> None:
    assert_mask(MASKS[name])


def test_python_constants_are_masks() -> None:
    assert mask_spec(lambda b, h, q, k: True).definition.mask.value is True
    assert mask_spec(lambda b, h, q, k: False).definition.mask.value is False
    assert score_spec(lambda s, b, h, q, k: 3).definition.score is to_float(const(3))


class Banded:
    def __init__(self, width: int, ids: Any) -> None:
        self.width, self.ids = width, ids

    def __call__(self, b: Any, h: Any, q: Any, k: Any) -> Any:
        return (abs(q - k) <= self.width) & (self.ids[q] == self.ids[k])

    def causal(self, b: Any, h: Any, q: Any, k: Any) -> Any:
        return (q >= k) & (self.ids[q] == self.ids[k])


def windowed(width: int, table: Any, b: Any, h: Any, q: Any, k: Any) -> Any:
    return q - k < width + table[h]


def test_partials_objects_and_methods() -> None:
    partial, banded = functools.partial(windowed, 2, WINDOW), Banded(2, IDS)
    assert_mask(partial)
    assert list(mask_spec(partial).captured) == ["table"]
    assert_mask(banded)
    assert list(mask_spec(banded).captured) == ["ids"]
    method = mask_spec(banded.causal)
    assert list(method.captured) == ["ids"]
    assert method.fingerprint == mask_spec(lambda b, h, q, k: (q >= k) & (IDS[q] == IDS[k])).fingerprint


def test_numpy_arrays_are_captured_too() -> None:
    grid, ids, width = GRID.copy(), IDS.numpy(), WINDOW.numpy()

    def of_closure(b: Any, h: Any, q: Any, k: Any) -> Any:
        return (grid[q, k] > 4) & (ids[q] == ids[k])

    def of_globals(b: Any, h: Any, q: Any, k: Any) -> Any:
        return GRID[q][k] > 4

    table = torch.from_numpy(GRID)
    expected = np.asarray(create_mask(lambda b, h, q, k: table[q, k] > 4, 2, HEADS, M, N, device="cpu"))
    documents = IDS[:M, None] == IDS[None]
    for mod, want, names in (
        (of_closure, expected & documents.numpy(), ["grid", "ids"]),
        (of_globals, expected, ["GRID"]),
        (functools.partial(windowed, 2, width), None, ["table"]),
        (Banded(2, ids), None, ["ids"]),
        (lambda b, h, q, k, grid=grid: grid[q, k] > 4, expected, ["grid"]),
        (and_masks(of_closure, of_globals), expected & documents.numpy(), ["grid", "ids", "GRID"]),
    ):
        spec = mask_spec(mod)
        assert list(spec.captured) == names
        if want is not None:
            np.testing.assert_array_equal(at_every_point(spec, spec.definition.mask, M, N), want)


def test_numpy_functions_and_scalars() -> None:
    spec = score_spec(
        lambda s, b, h, q, k: np.float32(2) * np.tanh(s) + np.where(q > k, s, 0.0) + np.maximum(q, k) * np.int64(3)
    )
    score = np.random.default_rng(0).standard_normal((2, HEADS, M, N))
    q, k = np.arange(M)[:, None], np.arange(N)
    got = at_every_point(spec, spec.definition.score, M, N, score=score)
    np.testing.assert_allclose(got, 2 * np.tanh(score) + np.where(q > k, score, 0) + np.maximum(q, k) * 3)


def test_a_scalar_tensor_is_an_argument_and_not_a_constant() -> None:
    spec = score_spec(SCORES["a scalar tensor"])
    (load,) = leaves(spec.definition.score, Op.LOAD)
    assert load.value.shape == ()
    assert list(spec.captured.values()) == [SCALAR]
    assert spec.captured["SCALAR"] is SCALAR


def test_a_python_scalar_is_a_constant() -> None:
    assert not leaves(score_spec(lambda s, b, h, q, k: s * math.pi).definition.score, Op.LOAD)


def test_one_tensor_is_captured_once_and_two_of_one_name_twice() -> None:
    def make(ids: torch.Tensor) -> Callable[..., Any]:
        return lambda b, h, q, k: (ids[q] == ids[k]) & (ids[0] >= 0)

    assert list(mask_spec(make(IDS)).captured) == ["ids"]
    other = IDS.clone()
    spec = mask_spec(and_masks(make(IDS), make(other)))
    assert list(spec.captured) == ["ids", "ids_1"]
    assert spec.captured["ids"] is IDS
    assert spec.captured["ids_1"] is other


def test_captured_values_are_not_looked_at() -> None:
    class Watched(torch.Tensor):
        pass

    ids = IDS.clone().as_subclass(Watched)
    assert list(mask_spec(lambda b, h, q, k: ids[q] == ids[k]).captured) == ["ids"]


def test_other_dtypes_are_converted_when_captured() -> None:
    small, wide = IDS.to(torch.int8), TABLE.double()
    spec = mask_spec(lambda b, h, q, k: small[q] == small[k])
    assert spec.captured["small"].dtype == torch.int32
    spec = score_spec(lambda s, b, h, q, k: s + wide[h, 0])
    assert spec.captured["wide"].dtype == torch.float32
    half = TABLE.bfloat16()
    assert score_spec(lambda s, b, h, q, k: s + half[h, 0]).captured["half"] is half


def branch(b: Any, h: Any, q: Any, k: Any) -> Any:
    if q > k:
        return k > 3
    return k < 3


LIST = [1, 2, 3]
WRONG: dict[str, tuple[Callable[..., Any], str]] = {
    "if": (branch, "torch.where"),
    "and": (lambda b, h, q, k: q > k and k > 3, "torch.where"),
    "not": (lambda b, h, q, k: not q > k, "& | ~"),
    "chain": (lambda b, h, q, k: 0 <= q - k < 3, "(a <= x) & (x < b)"),
    "min": (lambda b, h, q, k: min(q, k) > 3, "torch.minimum"),
    "list": (lambda b, h, q, k: LIST[q] > 3, "capture a tensor"),
    "range": (lambda b, h, q, k: sum(range(q)) > 3, "constant"),
    "int": (lambda b, h, q, k: int(q) > 3, "torch.int32"),
    "float": (lambda b, h, q, k: math.exp(q) > 3, "torch's function"),
    "iter": (lambda b, h, q, k: any(x for x in q), "constant range"),
    "len": (lambda b, h, q, k: len(q) > 3, "scalar"),
    "item": (lambda b, h, q, k: q.item() > 3, "keep it as a tensor"),
    "softmax": (lambda b, h, q, k: torch.softmax(q, 0) > 3, "normaliser"),
    "unknown": (lambda b, h, q, k: torch.lgamma(q) > 3, "elementwise"),
    "open": (lambda b, h, q, k: FOUR[b] > 0, "index it down"),
    "row": (lambda b, h, q, k: k < WINDOW, "reduce"),
    "too many": (lambda b, h, q, k: IDS[q, k] > 0, "one subscript a dimension"),
    "outside": (lambda b, h, q, k: IDS[q] > IDS[12], "11"),
    "float index": (lambda b, h, q, k: IDS[q / 2] > 0, "integer"),
    "power": (lambda b, h, q, k: q**k > 2, "exp2"),
    "dtype": (lambda b, h, q, k: q.to(torch.uint8) > 2, "int32"),
    "float mask": (lambda b, h, q, k: q * 0.5, "comparison"),
    "none": (lambda b, h, q, k: None, "return"),
    "string": (lambda b, h, q, k: "q", "numbers"),
    "in place": (lambda b, h, q, k: q.add_(3) > 2, "elementwise"),
    "exception": (lambda b, h, q, k: 1 // 0, "traced scalars"),
    "arguments": (lambda q, k: q > k, "(b, h, q_idx, kv_idx)"),
    "random": (lambda b, h, q, k: torch.rand(()) * q > 2, "draw random numbers"),
    "too long": (lambda b, h, q, k: sum((q * i + k for i in range(2000)), q) > 2, "before the call"),
    "bits of floats": (lambda b, h, q, k: (q * 0.5) & 1, "integer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_has_no_kernel_form_is_an_error_with_the_line_and_the_way_out(name: str) -> None:
    mod, remedy = WRONG[name]
    with pytest.raises(TraceError) as info:
        mask_spec(mod)
    assert remedy in info.value.remedy
    assert "test_trace.py" in info.value.place
    assert len(str(info.value).splitlines()) < 8


def test_the_place_of_an_error_is_the_line_of_the_user() -> None:
    with pytest.raises(TraceError) as info:
        mask_spec(branch)
    assert "`if q > k:`" in info.value.place


def test_a_mask_does_not_pay_for_a_trace() -> None:
    """A new closure over new tensors each batch must stay cheap."""

    def fresh() -> Callable[..., Any]:
        ids = torch.zeros(8, dtype=torch.int32)
        return lambda b, h, q, k: (ids[q] == ids[k]) & (q >= k)

    def seconds() -> float:
        start = time.process_time()
        mask_spec(fresh())
        return time.process_time() - start

    assert min(seconds() for _ in range(20)) < 5e-3
