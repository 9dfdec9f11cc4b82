"""Small kernels whose loops are known, compiled for real and read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import pytest

from attngen.building.job import Job, triton_version
from attngen.building.signature import KernelArgument
from attngen.building.workers import Workers
from attngen.machine_code.kernel import Kernel, from_record

pytest.importorskip("triton")

SOURCE = """
import triton
import triton.language as tl


@triton.jit
def matmul(A, B, C, K, M: tl.constexpr, N: tl.constexpr, D: tl.constexpr):
    rows, columns, depth = tl.arange(0, M), tl.arange(0, N), tl.arange(0, D)
    acc = tl.zeros([M, N], tl.float32)
    for k in range(0, K, D):
        a = tl.load(A + rows[:, None] * K + k + depth[None, :])
        b = tl.load(B + columns[None, :] * K + k + depth[:, None])
        acc = tl.dot(a, b, acc)
    tl.store(C + rows[:, None] * N + columns[None, :], acc)


@triton.jit
def exponentials(A, B, C, K, M: tl.constexpr, N: tl.constexpr, D: tl.constexpr):
    lane = tl.arange(0, N)
    total = tl.zeros([N], tl.float32)
    for k in range(0, K, N):
        total += tl.exp2(tl.load(A + k + lane).to(tl.float32))
    tl.store(C + lane, total)
"""
M, N, D = 64, 64, 32
POINTERS = tuple(KernelArgument(name, kind, True) for name, kind in (("A", "*bf16"), ("B", "*bf16"), ("C", "*fp32")))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1) as started:
        yield started


def read(
    workers: Workers, arch: str, kernel: str = "matmul", sizes: tuple[int, int, int] = (M, N, D), num_warps: int = 4
) -> Kernel:
    amd = arch.startswith("gfx")
    job = Job(
        source=SOURCE,
        kernel=kernel,
        arguments=(*POINTERS, KernelArgument("K", "i32", True)),
        constants=tuple(zip(("M", "N", "D"), sizes, strict=True)),
        backend="hip" if amd else "cuda",
        arch=arch,
        warp_size=64 if amd else 32,
        num_warps=num_warps,
        num_stages=2,
        triton=triton_version(),
    )
    answer = workers.ask({"job": asdict(job), "compiled": None})
    assert "error" not in answer, answer["error"]
    return from_record(answer["kernel"])


@pytest.mark.parametrize(
    ("arch", "kind"), [("sm_80", "HMMA"), ("sm_90", "HGMMA"), ("sm_100", "UTCHMMA"), ("gfx942", "v_mfma")]
)
def test_the_flops_of_a_product_loop(workers: Workers, arch: str, kind: str) -> None:
    kernel = read(workers, arch)
    (loop,) = [loop for loop in kernel.loops if loop.main]
    assert all(op.startswith(kind) for op in loop.products)
    assert loop.decoded
    assert loop.flops == 2 * M * N * D
    assert kernel.spills == loop.spills == 0


def test_asynchronous_copies_bring_both_tiles(workers: Workers) -> None:
    (loop,) = read(workers, "sm_80").loops
    assert loop.async_bytes == (M + N) * D * 2


def test_repeated_products_are_seen(workers: Workers) -> None:
    # 8 warps of 16 rows have nothing to share out in 16 x 16, so they repeat each other
    loops = read(workers, "sm_80", sizes=(16, 16, 32), num_warps=8).loops
    assert max(loop.flops for loop in loops if loop.main) > 1.05 * 2 * 16 * 16 * 32


def test_a_forced_spill_is_found_in_its_loop(workers: Workers) -> None:
    # 256 x 256 fp32 over 128 threads are 512 registers a thread; there are 255
    kernel = read(workers, "sm_80", sizes=(256, 256, 16))
    assert kernel.registers == 255
    assert kernel.spill_bytes > 0
    assert sum(loop.spills for loop in kernel.loops) > 0


def test_exponentials_are_counted(workers: Workers) -> None:
    # 4 warps, 2048 elements: 16 a lane
    kernel = read(workers, "sm_80", "exponentials", (0, 2048, 0))
    (loop,) = [loop for loop in kernel.loops if loop.main]
    assert dict(loop.mix)["exp2"] == 16
    assert loop.products == ()
    assert "e16" in loop.order or loop.order.count("e") >= 1
