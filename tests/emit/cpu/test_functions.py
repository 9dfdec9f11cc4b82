"""The vector functions of emitted C++, over the whole range of floats, in units of the last place."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest

import attngen as ag
from tests.support.native import library

SCORE = (
    "exp(score) + log(abs(score)) + log2(abs(score)) + sin(score) + cos(score) + erf(score) + sqrt(abs(score)) "
    "+ rsqrt(abs(score)) + floor(score) + ceil(score)"
)
NAMES = ("exp2", "exp2_below", "log", "log2", "sin", "cos", "erf", "sqrt", "rsqrt", "round_down", "round_up")
EXACT = {
    "exp2": np.exp2, "exp2_below": np.exp2, "log": np.log, "log2": np.log2, "sin": np.sin, "cos": np.cos,
    "erf": np.vectorize(math.erf), "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "round_down": np.floor,
    "round_up": np.ceil,
}  # fmt: skip
# largest errors, as the comments of the emitted text state them
ULP = {
    "exp2": 1.2, "exp2_below": 1.2, "log": 2.0, "log2": 2.0, "sin": 1.0, "cos": 1.0, "erf": 2.0, "sqrt": 0.5,
    "rsqrt": 1.5, "round_down": 0.0, "round_up": 0.0,
}  # fmt: skip
ARCHES = ["avx512", "avx2", "sse", "neon"]


def every(count: int, seed: int) -> np.ndarray:
    """Floats of all exponents and signs, and special ones, a multiple of 16 of them."""
    bits = np.random.default_rng(seed).integers(0, 2**32, count, dtype=np.uint32)
    x = bits.view(np.float32)
    special = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754944e-38, 3.4e38, 127.99, 128.0]
    special += [-126.0, -126.5, -127.0, -150.0, 0.927734375, 4.0, 0.70710677, 1.4142135, 2.0**20, 2.0**23 + 1, 1e10]
    near = np.linspace(-200, 200, count // 2, dtype=np.float32)
    out = np.concatenate([np.array(special, np.float32), near, x])
    return np.resize(out, -(-len(out) // 16) * 16)


def functions(arch: str, dtype: str = "fp32") -> ctypes.CDLL:
    """An emitted file with an entry for each of its functions."""
    from attngen import pipeline

    spec = ag.AttentionSpec("functions", heads=1, head_dim=16, score=SCORE)
    text = pipeline.generate(spec, arch, dtype=dtype).text
    for name in NAMES:
        text += f'\nextern "C" void apply_{name}(real *x, int64_t n) '
        text += f"{{ for (int64_t i = 0; i < n; i += LANES) at(x + i) = {name}(at(x + i)); }}"
    return library(text, arch)


def applied(loaded: ctypes.CDLL, name: str, x: np.ndarray) -> np.ndarray:
    store = np.zeros(len(x) + 16, x.dtype)  # vectors lie at multiples of 64 bytes
    skip = -store.ctypes.data % 64 // x.itemsize
    y = store[skip : skip + len(x)]
    y[:] = x
    getattr(loaded, f"apply_{name}")(ctypes.c_void_p(y.ctypes.data), ctypes.c_int64(len(y)))
    return y


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("name", NAMES)
def test_error(name: str, arch: str) -> None:
    x = every(400_000, 3)
    if name == "exp2_below":
        x = np.where(x > 0, -x, x)
    got = applied(functions(arch), name, x).astype(np.float64)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.float64))
        rounded = exact.astype(np.float32).astype(np.float64)
    tiny = 2.0**-126 if name.startswith("exp2") else 0.0
    for test in (np.isnan, np.isposinf, np.isneginf):
        differ = test(got) != test(rounded)
        assert not differ.any(), f"{name}({x[differ][:5]}) = {got[differ][:5]} instead of {rounded[differ][:5]}"
    normal = np.isfinite(rounded) & (np.abs(rounded) >= tiny)
    unit = np.spacing(np.abs(rounded[normal]).astype(np.float32)).astype(np.float64)
    error = np.abs(got[normal] - exact[normal]) / unit
    worst = int(np.argmax(error))
    assert error[worst] <= ULP[name] + 0.01, f"{name}({x[normal][worst]!r}): {error[worst]:.2f} ulp"
    small = np.isfinite(rounded) & ~normal
    assert (np.abs(got[small] - exact[small]) < 2.0**-126).all()


@pytest.mark.parametrize("name", NAMES)
def test_double(name: str) -> None:
    x = np.linspace(-700, 0 if name == "exp2_below" else 700, 4096)
    got = applied(functions("avx2", "fp64"), name, x)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, EXACT[name](x), rtol=1e-15, atol=1e-15)


def test_the_error_of_a_wrong_function_is_seen() -> None:
    x = every(1000, 1)
    loaded = functions("avx2")
    with np.errstate(all="ignore"):
        assert not np.allclose(applied(loaded, "sin", x), np.cos(x), equal_nan=True)
