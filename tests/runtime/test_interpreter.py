"""bfloat16 in the interpreter, against torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from attngen.runtime.interpreter import bf16_to_fp32, fp32_to_bf16, repair

repair()
SIZE = 32
BF16 = torch.bfloat16


@triton.jit
def dot_kernel(A, B, C, S: tl.constexpr):
    at = tl.arange(0, S)[:, None] * S + tl.arange(0, S)[None, :]
    tl.store(C + at, tl.dot(tl.load(A + at), tl.load(B + at)).to(tl.bfloat16))


@triton.jit
def arithmetic_kernel(A, B, C, S: tl.constexpr):
    at = tl.arange(0, S)[:, None] * S + tl.arange(0, S)[None, :]
    a = tl.load(A + at)
    b = tl.load(B + at)
    x = a * b + a
    x = tl.where(x > 0.5, x * 2, x - 1.25)
    x = tl.maximum(x, -b) / (tl.abs(a) + 1)
    tl.store(C + at, x)


@triton.jit
def cast_kernel(A, B, C, S: tl.constexpr):
    at = tl.arange(0, S)[:, None] * S + tl.arange(0, S)[None, :]
    a = tl.load(A + at)
    tl.store(B + at, a.to(tl.float16) + (at * 37).to(tl.bfloat16).to(tl.float16))
    tl.store(C + at, (a * 100).to(tl.int32))


@triton.jit
def bounds_kernel(N, C):
    total = 0
    for i in range(tl.load(N), tl.load(N + 1), 2):
        total += i
    tl.store(C, total)


@triton.jit
def scalar_mask_kernel(X, Y, N):
    at = tl.arange(0, 16)
    tl.store(Y + at, tl.load(X + at, mask=(at < 9) & (N > 0), other=-1))


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(SIZE, SIZE).to(BF16), torch.randn(SIZE, SIZE).to(BF16)


def test_repair_is_idempotent() -> None:
    from triton.runtime.interpreter import InterpreterBuilder

    before = InterpreterBuilder.create_dot
    assert repair()
    assert repair()
    assert InterpreterBuilder.create_dot is before


IN_A_SANITIZER = """
from attngen.checking.sanitizer import sanitizer
from attngen.runtime.interpreter import repair
with sanitizer():
    repair()
from triton.runtime.interpreter import InterpreterBuilder
import attngen.runtime.interpreter as ours
print(InterpreterBuilder.create_splat.__code__.co_filename == ours.__file__)
"""


def test_a_repair_within_a_sanitizer_outlives_it() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_SANITIZER], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr


def test_dot() -> None:
    a, b = pair()
    c = torch.empty_like(a)
    dot_kernel[(1,)](a, b, c, S=SIZE)
    assert torch.equal(c, (a.float() @ b.float()).to(BF16))


def test_arithmetic() -> None:
    a, b = pair()
    c = torch.empty_like(a)
    arithmetic_kernel[(1,)](a, b, c, S=SIZE)
    x = a * b + a
    x = torch.where(x > 0.5, x * 2, x - 1.25)
    # tl divides bfloat16 in fp32, and the store rounds
    assert torch.equal(c, torch.maximum(x, -b) / (a.abs() + 1))


def test_casts() -> None:
    a, _ = pair()
    b, c = torch.empty(SIZE, SIZE, dtype=torch.float16), torch.empty(SIZE, SIZE, dtype=torch.int32)
    cast_kernel[(1,)](a, b, c, S=SIZE)
    at = torch.arange(SIZE * SIZE).reshape(SIZE, SIZE)
    assert torch.equal(b, a.half() + (at * 37).to(BF16).half())
    assert torch.equal(c, (a * 100).int())


def test_loop_bounds_that_are_loaded() -> None:
    c = torch.zeros(1, dtype=torch.int32)
    bounds_kernel[(1,)](torch.tensor([3, 9], dtype=torch.int32), c)
    assert c.item() == 3 + 5 + 7


def test_masks_with_a_scalar_condition() -> None:
    x, y = torch.arange(16, dtype=torch.int32), torch.zeros(16, dtype=torch.int32)
    for n in (3, 0):
        scalar_mask_kernel[(1,)](x, y, n)
        assert y.tolist() == [i if i < 9 and n else -1 for i in range(16)]


@pytest.mark.parametrize(
    "bits", [0x3F80FFFF, 0x3FFFFFFF, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x00000001, 0x3F808000, 0x3F818000]
)
def test_rounding_of_hard_cases(bits: int) -> None:
    value = np.array([bits], dtype=np.uint32).view(np.float32)
    wanted = torch.from_numpy(value.copy()).to(BF16).float().numpy()
    assert bf16_to_fp32(fp32_to_bf16(value)) == wanted


def test_rounding_of_any_bits() -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 1 << 16, dtype=np.uint32)
    values = bits.view(np.float32)
    mine, torchs = bf16_to_fp32(fp32_to_bf16(values)), torch.from_numpy(values.copy()).to(BF16).float().numpy()
    np.testing.assert_array_equal(mine, torchs)
