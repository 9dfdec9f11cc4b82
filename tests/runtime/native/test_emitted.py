"""The runtime with kernels as attngen emits them: derived tensors, tile lists, threads, memory, a warm store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import attngen as ag
from tests.runtime.native.kit import ROOT

SPECS = {
    "window": ag.AttentionSpec("window", (4, 2), 32, mask=ag.causal() & ag.sliding_window(50), score=ag.alibi()),
    "documents": ag.AttentionSpec(
        "documents", (4, 2), 32, mask=ag.causal() & ag.document(ids=torch.arange(200, dtype=torch.int32) // 70)
    ),
    "bigbird": ag.AttentionSpec(
        "bigbird", (4, 2), 32, mask=ag.bigbird(block=16, window=3, globals=1, random=1, seed=0)
    ),
    "sinks": ag.AttentionSpec("sinks", (4, 2), 32, mask=ag.causal(), sink="off_by_one"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def threads_as_before() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def inputs(m: int, n: int, dtype: torch.dtype = torch.float32, dim: int = 32, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, h, rows, dim, generator=generator).to(dtype) for h, rows in ((4, m), (2, n), (2, n))]


def agrees(spec: Any, got: Any, qkv: Any, **values: Any) -> None:
    out, lse = ag.reference(spec, *(x.double() for x in qkv), **values)
    np.testing.assert_allclose(got[0].double().numpy(), out, rtol=0, atol=1e-5)
    np.testing.assert_allclose(got[1].double().numpy(), lse, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("m", [1, 200])
def test_bits_do_not_depend_on_threads(name: str, m: int) -> None:
    attend = ag.compile(SPECS[name], backend="cpu")
    for dtype in (torch.float32, torch.bfloat16):
        qkv = inputs(m, 200, dtype)
        answers = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            answers += [attend(*qkv, return_lse=True) for _ in range(3)]
        for out, lse in answers[1:]:
            assert torch.equal(out, answers[0][0])
            assert torch.equal(lse, answers[0][1])
    assert {request.decode for request in attend.loaded} == {m == 1}


def test_concurrent_calls_of_several_variants() -> None:
    torch.set_num_threads(2)
    variants = [ag.compile(spec, backend="cpu") for spec in SPECS.values()]
    cases = [inputs(m, 200, seed=m) for m in (1, 33, 200)]
    right = {(i, j): variant(*qkv) for i, variant in enumerate(variants) for j, qkv in enumerate(cases)}
    keys = list(right)

    def call(step: int) -> bool:
        i, j = keys[step % len(keys)]
        return torch.equal(variants[i](*cases[j]), right[i, j])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(1000)))


def test_documents_that_change() -> None:
    spec = SPECS["documents"]
    (name,) = spec.captured
    attend = ag.compile(spec, backend="cpu")
    qkv = inputs(200, 200)
    for _ in range(2):
        agrees(spec, attend(*qkv, return_lse=True), qkv)
    for step in (30, 90):
        ids = torch.arange(200, dtype=torch.int32) // step
        for _ in range(2):
            agrees(spec, attend(*qkv, return_lse=True, **{name: ids}), qkv, **{name: ids})
        ids[100:] += 1
        agrees(spec, attend(*qkv, return_lse=True, **{name: ids}), qkv, **{name: ids})
    unsorted = torch.randint(0, 4, (200,), dtype=torch.int32)
    agrees(spec, attend(*qkv, return_lse=True, **{name: unsorted}), qkv, **{name: unsorted})
    agrees(spec, attend(*qkv, return_lse=True), qkv)


def test_tile_maps_that_change() -> None:
    tiles = torch.rand(7, 7, generator=torch.Generator().manual_seed(0)) < 0.4
    spec = ag.AttentionSpec("blocks", (4, 2), 32, mask=ag.block_sparse(tiles, block=(32, 32)))
    attend = ag.compile(spec, backend="cpu")
    qkv = inputs(200, 200)
    for change in (lambda: None, lambda: None, lambda: tiles.logical_not_(), lambda: None, lambda: tiles.fill_(True)):
        change()
        agrees(spec, attend(*qkv, return_lse=True), qkv)


def test_parameters_of_a_tile_list() -> None:
    spec = ag.AttentionSpec(
        "both", (4, 2), 32, mask=ag.bigbird(block=16, window=3, globals=1, random=1, seed=0) & ag.sliding_window("w"),
        params={"w": "int32"},
    )  # fmt: skip
    attend = ag.compile(spec, backend="cpu")
    qkv = inputs(200, 200)
    for w in (1, 40, 40, 120, 40, 1):
        agrees(spec, attend(*qkv, return_lse=True, w=w), qkv, w=w)


def test_tensors_too_short_are_refused() -> None:
    flags = torch.ones(100, dtype=torch.bool)
    spec = ag.AttentionSpec("flags", (4, 2), 32, mask=lambda b, h, q, kv: flags[kv])
    attend = ag.compile(spec, backend="cpu")
    attend(*inputs(100, 100))
    with pytest.raises(ag.AttngenError, match="100"):
        attend(*inputs(100, 101))


MEMORY = """
import resource, sys
import torch
import attngen as ag
n, queries, dtype = 65536, int(sys.argv[1]), getattr(torch, sys.argv[2])
torch.set_num_threads(2)
attend = ag.compile(ag.AttentionSpec("w", (4, 2), 64, mask=ag.causal() & ag.sliding_window(256)), backend="cpu")
qkv = [torch.randn(1, h, 64, 64).to(dtype) for h in (4, 2, 2)]
attend(qkv[0][:, :, :min(queries, 64)], *qkv[1:], return_lse=True)
q, k, v = (torch.randn(1, h, rows, 64).to(dtype) for h, rows in ((4, queries), (2, n), (2, n)))
out = torch.zeros_like(q)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
attend(q, k, v, out=out, return_lse=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def child(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TRITON_INTERPRET": "0", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("queries", ["1", "65536"])
def test_memory_beside_the_tensors(queries: str, dtype: str) -> None:
    """Of a call at 65,536 keys: under 64 MB (in KiB here) more than inputs and output, a megabyte of it the lse."""
    assert int(child(MEMORY, queries, dtype)) < 64 * 1024


WARM = """
import json, time
import torch
import attngen as ag
import attngen.pipeline
spec = ag.AttentionSpec("warm", (4, 2), 64, mask=ag.causal() & ag.sliding_window(256))
q, k, v = torch.randn(1, 4, 128, 64), torch.randn(1, 2, 128, 64), torch.randn(1, 2, 128, 64)
start = time.process_time()
attend = ag.compile(spec, backend="cpu")
attend(q, k, v)
first = time.process_time() - start
print(json.dumps([first, *(one.seconds for one in attend.loaded.values())]))
"""


def test_a_warm_store_makes_the_first_call_quick(tmp_path: Path) -> None:
    cold = json.loads(child(WARM, ATTNGEN_CACHE_DIR=str(tmp_path)))
    warm = json.loads(child(WARM, ATTNGEN_CACHE_DIR=str(tmp_path)))
    print(f"first call: {cold[0]:.2f} s with a cold store (compiler not counted), {warm[0]:.2f} s with a warm one")
    assert cold[1] > 0
    assert warm[1] == 0.0, "nothing was compiled"
    assert warm[0] < 0.4, "CPU time of this process after imports; 0.2 s on an idle machine"
