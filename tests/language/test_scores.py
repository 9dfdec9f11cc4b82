"""Every vocabulary score against its definition, written independently over dense NumPy positions."""

from __future__ import annotations

import math

import numpy as np
import pytest

import attngen.language as ag
from attngen.errors import SpecError
from tests.language.dense import scored

RNG = np.random.default_rng(0)
LENGTHS = [(9, 9), (4, 9), (9, 4)]


@pytest.fixture(params=LENGTHS, ids=lambda pair: f"{pair[0]}x{pair[1]}")
def score(request: pytest.FixtureRequest) -> np.ndarray:
    return RNG.standard_normal((2, 4, *request.param))


def positions(score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    m, n = score.shape[-2:]
    q, kv = np.arange(m)[:, None], np.arange(n)[None]
    return q, q + (n - m), kv


def press_slopes(heads: int) -> list[float]:
    """The code of the ALiBi authors."""

    def power_of_two(n: int) -> list[float]:
        start = 2 ** (-(2 ** -(math.log2(n) - 3)))
        return [start * start**i for i in range(n)]

    if math.log2(heads).is_integer():
        return power_of_two(heads)
    near = 2 ** math.floor(math.log2(heads))
    return power_of_two(near) + press_slopes(2 * near)[0::2][: heads - near]


@pytest.mark.parametrize("heads", [1, 2, 4, 6, 8, 12, 16, 20, 112])
def test_alibi_slopes_are_the_authors(heads: int) -> None:
    score = np.zeros((2, heads, 1, 2))
    got = scored(ag.alibi(), score)[0, :, 0, 0]  # the key one step back
    np.testing.assert_allclose(-got, press_slopes(heads), rtol=1e-12)


def test_alibi_with_its_own_slopes(score: np.ndarray) -> None:
    _, pos, kv = positions(score)
    slopes = np.array([0.5, 0.25, 1.0, 0.0])
    expected = score + slopes[:, None, None] * (kv - pos)
    np.testing.assert_allclose(scored(ag.alibi(slopes), score), expected)
    declared = {"tensors": {"s": (("H",), "fp32")}, "arrays": {"s": slopes}}
    np.testing.assert_allclose(scored("alibi(slopes=s)", score, **declared), expected)


def test_softcap_and_temperature(score: np.ndarray) -> None:
    np.testing.assert_allclose(scored(ag.softcap(1.5), score), 1.5 * np.tanh(score / 1.5))
    np.testing.assert_allclose(scored(ag.temperature(2), score), score / 2)
    options = {"params": {"c": "float32"}, "values": {"c": 0.7}}
    np.testing.assert_allclose(scored(ag.softcap("c"), score, **options), 0.7 * np.tanh(score / 0.7))


def test_steps_apply_in_the_user_s_order(score: np.ndarray) -> None:
    np.testing.assert_allclose(scored([ag.temperature(0.5), ag.softcap(3.0)], score), 3 * np.tanh(score / 0.5 / 3))
    np.testing.assert_allclose(scored([ag.softcap(3.0), ag.temperature(0.5)], score), 3 * np.tanh(score / 3) / 0.5)
    mixed = ["score + 1", lambda s, b, h, q, kv: s * 2, ag.temperature(4.0)]
    np.testing.assert_allclose(scored(mixed, score), (score + 1) * 2 / 4)


def test_relative_bias_is_clamped_to_its_table(score: np.ndarray) -> None:
    _, pos, kv = positions(score)
    table = RNG.standard_normal((4, 5)).astype(np.float32)
    at = np.clip(pos - kv + 2, 0, 4)
    np.testing.assert_allclose(scored(ag.relative_bias(table), score), score + table[:, at])
    np.testing.assert_allclose(scored(ag.relative_bias(table[1]), score), score + table[1][at])
    at = np.clip(pos - kv, 0, 4)
    np.testing.assert_allclose(scored(ag.relative_bias(table, offset=0), score), score + table[:, at])


def t5_bucket(ahead: np.ndarray, buckets: int, max_distance: int, bidirectional: bool) -> np.ndarray:
    """The formula of the T5 code, in float64."""
    out = np.zeros_like(ahead)
    if bidirectional:
        buckets //= 2
        out += (ahead > 0) * buckets
        ahead = np.abs(ahead)
    else:
        ahead = -np.minimum(ahead, 0)
    exact = buckets // 2
    with np.errstate(divide="ignore"):
        growth = np.log(ahead / exact) / np.log(max_distance / exact) * (buckets - exact)
    large = np.minimum(exact + np.where(ahead > 0, growth + 1e-9, 0).astype(int), buckets - 1)
    return out + np.where(ahead < exact, ahead, large)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "max_distance"), [(32, 128), (8, 20), (16, 64)])
def test_t5_buckets(buckets: int, max_distance: int, bidirectional: bool) -> None:
    table = np.tile(np.arange(buckets, dtype=np.float32)[:, None], 4)
    score = np.zeros((2, 4, 300, 300))
    _, pos, kv = positions(score)
    got = scored(ag.t5_bias(table, buckets, max_distance, bidirectional), score)[1, 3]
    np.testing.assert_array_equal(got, t5_bucket(kv - pos, buckets, max_distance, bidirectional))


def test_t5_bias_reads_its_head(score: np.ndarray) -> None:
    _, pos, kv = positions(score)
    table = RNG.standard_normal((32, 4)).astype(np.float32)
    expected = score + np.moveaxis(table[t5_bucket(kv - pos, 32, 128, True)], -1, 0)
    np.testing.assert_allclose(scored(ag.t5_bias(table), score), expected)


@pytest.mark.parametrize("dims", ["BHMN", "1HMN", "B1M1", "H1N", "MN", "N", "11N"])
def test_bias_broadcasts_from_the_right(score: np.ndarray, dims: str) -> None:
    sizes = dict(zip("BHMN", score.shape, strict=True)) | {"1": 1}
    tensor = RNG.standard_normal([sizes[d] for d in dims]).astype(np.float32)
    np.testing.assert_allclose(scored(ag.bias(tensor), score), score + tensor)


def test_decay() -> None:
    score = RNG.standard_normal((2, 4, 3, 9))
    gate = np.cumsum(np.log(RNG.uniform(0.5, 1, (2, 4, 9))), axis=-1).astype(np.float32)
    expected = score + gate[:, :, 6:, None].astype(float) - gate[:, :, None, :].astype(float)
    np.testing.assert_allclose(scored(ag.decay(gate), score), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ag.softcap(0), lambda: ag.softcap(-1.0), lambda: ag.temperature(math.inf), lambda: ag.softcap(True),
        lambda: ag.t5_bias([[0.0]], buckets=2), lambda: ag.t5_bias([[0.0]], max_distance=4),
        lambda: scored(ag.causal(), np.zeros((2, 4, 1, 1))), lambda: scored(ag.alibi([[1.0]]), np.zeros((2, 4, 1, 1))),
        lambda: scored("q < kv", np.zeros((2, 4, 1, 1))), lambda: scored(7, np.zeros((2, 4, 1, 1))),
        lambda: scored(ag.softcap("c"), np.zeros((2, 4, 1, 1))),
    ],
)  # fmt: skip
def test_wrong_arguments_say_the_value_the_place_and_the_way_out(wrong: object) -> None:
    with pytest.raises(SpecError) as info:
        wrong()  # type: ignore[operator]
    assert info.value.place
    assert info.value.remedy
