"""Numbers of 16 bits and integer division of emitted C++: every half, every rounding, every sign."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch

import attngen as ag
from attngen import pipeline
from tests.emit.cpu.test_functions import every
from tests.support.native import library

TORCH = {"fp16": torch.float16, "bf16": torch.bfloat16}


def compiled(arch: str, dtype: str, more: str, **spec: object) -> ctypes.CDLL:
    """An emitted file with functions of ours behind it."""
    variant = ag.AttentionSpec("conversions", heads=1, head_dim=64, **spec)  # type: ignore[arg-type]
    return library(pipeline.generate(variant, arch, dtype=dtype).text + more, arch)


def loop(head: str, body: str) -> str:
    return f'extern "C" void {head} {{ for (int64_t i = 0; i < n; i++) {body}; }}'


def pointer(x: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.ctypes.data)


@pytest.mark.parametrize("arch", ["avx2", "sse"])
@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_every_number_of_16_bits_is_widened(dtype: str, arch: str) -> None:
    """One by one, and in vectors: by an instruction of the CPU with AVX2, in integers without."""
    one = loop("widen(const element *x, real *y, int64_t n)", "y[i] = value(x[i])")
    many = """extern "C" void widen_lanes(const element *x, real *y, int64_t n) {
      for (int64_t i = 0; i < n; i += LANES) {
        const vf wide = load(x + i);
        __builtin_memcpy(y + i, &wide, sizeof wide);
      }
    }"""
    bits = np.arange(2**16, dtype=np.uint16)
    made = compiled(arch, dtype, one + many)
    exact = torch.from_numpy(bits.view(np.int16)).view(TORCH[dtype]).float().numpy()
    for widen in (made.widen, made.widen_lanes):
        wide = np.zeros(2**16, np.float32)
        widen(pointer(bits), pointer(wide), ctypes.c_int64(2**16))
        np.testing.assert_array_equal(wide, exact)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_reals_are_rounded_to_the_nearest_even(dtype: str) -> None:
    more = loop("cut(const real *x, element *y, int64_t n)", "y[i] = narrow(x[i])")
    halves = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(TORCH[dtype]).float()
    ties = (halves[1:] + halves[:-1]) / 2  # exactly between two neighbours
    x = np.concatenate([every(300_000, 5), halves.numpy(), ties.numpy(), np.float32([65519.9, 65520.0, 65536.0])])
    cut = np.zeros(len(x), np.uint16)
    compiled("avx2", dtype, more).cut(pointer(x), pointer(cut), ctypes.c_int64(len(x)))
    got = torch.from_numpy(cut.view(np.int16)).view(TORCH[dtype])
    exact = torch.from_numpy(x).to(TORCH[dtype])
    nan = torch.isnan(exact)
    assert torch.equal(torch.isnan(got), nan)
    assert torch.equal(got[~nan].view(torch.int16), exact[~nan].view(torch.int16))


def test_pairs_are_rounded_to_the_nearest() -> None:
    more = (
        'extern "C" void pairs(real *a, real *b, int32_t *y, int64_t n) '
        "{ for (int64_t i = 0; i < n; i += LANES) *(vi *)(y + i) = bf16_pair(at(a + i), at(b + i)); }"
    )
    store = np.zeros(3 * 4096 + 16, np.float32)
    base = store[-store.ctypes.data % 64 // 4 :][: 3 * 4096].reshape(3, 4096)
    base[:2] = np.random.default_rng(0).random((2, 4096))
    compiled("avx512_bf16", "bf16", more).pairs(*(pointer(row) for row in base), ctypes.c_int64(4096))
    got = torch.from_numpy(base[2].view(np.int32).view(np.int16).reshape(-1, 2).copy()).view(torch.bfloat16)
    exact = torch.from_numpy(base[:2].T.copy()).bfloat16()
    assert torch.equal(got, exact)


def test_products_of_pairs_are_summed() -> None:
    """By the instruction where there is one: it sums in the order of its choice."""
    more = (
        'extern "C" void dots(real *sum, real *a, real *b, int64_t n) '
        "{ for (int64_t i = 0; i < n; i += LANES) at(sum + i) = dot_pairs(at(sum + i), at(a + i), at(b + i)); }"
    )
    store = np.zeros(3 * 4096 + 16, np.float32)
    base = store[-store.ctypes.data % 64 // 4 :][: 3 * 4096].reshape(3, 4096)
    drawn = torch.randn(3, 4096, 2, generator=torch.Generator().manual_seed(0))
    pairs = drawn[1:].bfloat16()
    base[0] = drawn[0, :, 0]
    base[1:] = pairs.view(torch.int16).numpy().view(np.float32)[..., 0]
    exact = base[0].astype(np.float64) + (pairs[0].double() * pairs[1].double()).sum(-1).numpy()
    size = np.abs(base[0]) + (pairs[0].double() * pairs[1].double()).abs().sum(-1).numpy()
    compiled("avx512_bf16", "bf16", more).dots(*(pointer(row) for row in base), ctypes.c_int64(4096))
    assert (np.abs(base[0] - exact) <= 2.0**-23 * size).all()


@pytest.mark.parametrize("arch", ["avx2", "sse"])
def test_division_rounds_to_minus_infinity(arch: str) -> None:
    entry = 'extern "C" void {0}(whole *x, int64_t n, whole b) {{ for (int64_t i = 0; i < n; i += LANES) '
    entry += "*(vi *)(x + i) = {0}(*(vi *)(x + i), {1}); }}\n"
    more = entry.format("floor_div", "b") + entry.format("floor_mod", "b")
    more = more.replace("void floor", "void apply_floor")
    loaded = compiled(arch, "fp32", more, mask="(q - kv) // 5 % 3 == 1")
    store = np.zeros(4096 + 16, np.int32)
    x = store[-store.ctypes.data % 64 // 4 :][:4096]
    numbers = np.concatenate([np.arange(-2000, 2000), [2**31 - 1, -(2**31) + 1, -(2**31), 0]])
    for divisor in (1, 2, 3, 7, 64, -1, -3, -64, 2**31 - 1):
        for name, exact in (("floor_div", np.floor_divide), ("floor_mod", np.mod)):
            inside = numbers[numbers != -(2**31)] if divisor == -1 else numbers
            x[:] = np.resize(inside, 4096)
            getattr(loaded, f"apply_{name}")(pointer(x), ctypes.c_int64(4096), ctypes.c_int32(divisor))
            np.testing.assert_array_equal(x, exact(np.resize(inside, 4096), divisor), f"{name} by {divisor}")
    x[:] = 5
    loaded.apply_floor_div(pointer(x), ctypes.c_int64(16), ctypes.c_int32(0))
    assert (x[:16] == 0).all()  # no trap
