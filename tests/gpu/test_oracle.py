"""Kernels on a GPU against the float64 oracle: ``make test-gpu``, or ``make test-gpu ARGS=--dry-run`` without one."""

from __future__ import annotations

import pytest
import torch

import attngen as ag
from attngen.checking.check import problems
from attngen.checking.inputs import build
from attngen.errors import PlanError
from tests.gpu.cases import CASES, GpuCase
from tests.gpu.device import Gpu
from tests.oracle.variants import spec

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_the_oracle(case: GpuCase, device: Gpu) -> None:
    try:
        case.run(device)
    except PlanError as error:  # no plan fits this GPU: said with its arithmetic, and nothing was launched
        pytest.skip(f"refused: {error.what.splitlines()[0]}")


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_recorded_launches_give_the_same_bits(dtype: str, device: Gpu) -> None:
    """The first call prepares, later ones replay, with other tensors and another parameter in between."""
    made = spec("causal & sliding_window(W)", heads=(4, 2), dim=64, params={"W": "int32"})
    attention = ag.compile(made, target=device.target)
    first, other = (build(made, 2, 130, 300, dtype, seed=seed).on(device.where, "contiguous") for seed in (1, 2))
    outs = [attention(case.q, case.k, case.v, W=W) for case, W in ((first, 90), (other, 17), (first, 90))]
    device.synchronize()
    bits = [out.view(torch.int16).cpu() for out in outs]
    assert torch.equal(bits[0], bits[2]) or device.dry
    assert not torch.equal(bits[0], bits[1]) or device.dry


def test_other_lengths_and_values_compile_nothing(device: Gpu) -> None:
    """One source, and one binary for each alignment of the tensors."""
    made = spec("causal & sliding_window(W)", heads=(4, 2), dim=64, params={"W": "int32"})
    attention = ag.compile(made, target=device.target)
    for i, n in enumerate((64, 77, 128, 300, 1000)):
        case = build(made, 1 + i % 3, n, n, "bf16", values={"W": 1 + n // 3}).on(device.where, "contiguous")
        device.verdict(problems(made, attention, case, device=device.where))
    (loaded,) = attention.loaded.values()
    kernel = loaded.module.attention_forward
    assert device.dry or sum(len(kernels[0]) for kernels in kernel.device_caches.values()) == 1


def test_offsets_beyond_32_bits(device: Gpu) -> None:
    """Batches that lie 2**31 elements apart."""
    apart, shape = 2**31 + 64, (2, 1, 300, 64)
    if not device.dry and 2 * apart > device.memory // 2:
        pytest.skip(f"needs {2 * apart / 2**30:.0f} GiB of GPU memory twice, there are {device.memory / 2**30:.0f}")
    made = spec(ag.causal(), heads=(1, 1), dim=64)
    case = build(made, 2, 130, 300, "bf16").on(device.where, "contiguous")
    size = apart + shape[2] * shape[3]
    storage = torch.empty(size, dtype=torch.bfloat16, device=device.where)
    k = storage.as_strided(shape, (apart, 300 * 64, 64, 1))
    k.copy_(case.k)
    attention = ag.compile(made, target=device.target)
    near, far = (attention(case.q, keys, case.v) for keys in (case.k, k))
    device.synchronize()
    assert k.stride(0) > 2**31
    assert device.dry or torch.equal(near, far)


def test_a_stream_and_a_graph(device: Gpu) -> None:
    """A call on another stream, and one that is captured and replayed on new numbers."""
    made = spec(ag.causal(), heads=(4, 2), dim=64)
    attention = ag.compile(made, target=device.target)
    case = build(made, 2, 130, 300, "bf16").on(device.where, "contiguous")
    expected = attention(case.q, case.k, case.v)
    again = attention(case.q, case.k, case.v)  # recorded now: nothing is looked up while a graph is captured
    device.synchronize()
    assert device.dry or torch.equal(expected, again)
    if device.dry:
        return  # streams and graphs are the GPU's own
    side, out = torch.cuda.Stream(), torch.empty_like(case.q)
    with torch.cuda.stream(side):
        other = attention(case.q, case.k, case.v)
    side.synchronize()
    assert torch.equal(expected, other)
    attention(case.q, case.k, case.v, out=out)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        attention(case.q, case.k, case.v, out=out)
    out.fill_(torch.nan)
    case.v.mul_(2)
    graph.replay()
    torch.cuda.synchronize()
    torch.testing.assert_close(out.float(), 2 * expected.float(), rtol=2**-6, atol=2**-6)
