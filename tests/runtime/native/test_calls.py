"""Calls of native code: layouts, `out=`, lse, captured tensors; the short way is right, quick, and left in time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import torch

from attngen.checking.poison import LAYOUTS, guards_intact, poisoned
from attngen.errors import CallError, RuntimeMissingError
from attngen.oracle import reference
from attngen.runtime.cache import Cache
from attngen.runtime.launch import Attention
from attngen.runtime.native.isa import detect
from tests.runtime.native.kit import ROOT, inputs, native, text, values
from tests.runtime.sample import SampleSpec, is_short

N = 40


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def f(cache: Cache) -> Attention:
    return native(cache)


def oracle(q: Any, k: Any, v: Any, given: Any) -> tuple[Any, Any]:
    return reference(SampleSpec(), q, k, v, **given)


def agrees(got: Any, q: Any, k: Any, v: Any, given: Any, tolerance: float = 1e-6) -> None:
    out, lse = oracle(q, k, v, given)
    np.testing.assert_allclose(got[0].double().numpy(), out, rtol=0, atol=tolerance)
    np.testing.assert_allclose(got[1].double().numpy(), lse, rtol=0, atol=tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kv_batch", [1, 2])
def test_layouts(f: Attention, layout: str, kv_batch: int) -> None:
    q, k, v = (poisoned(x, layout) for x in inputs())
    k, v = k[:kv_batch], v[:kv_batch]
    given = values()
    out = poisoned(torch.full((2, 4, N, 16), torch.nan), layout)
    for _ in range(3):
        out.fill_(torch.nan)
        answer = f(q, k, v, out=out, return_lse=True, **given)
        assert answer[0] is out
        agrees(answer, q, k, v, given)
        assert guards_intact(out)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(("m", "n"), [(40, 40), (1, 40), (7, 90), (50, 20)])
def test_lengths_dtypes_and_rows_without_keys(cache: Cache, split: bool, m: int, n: int) -> None:
    f = native(cache, split=split)
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        q, k, v = inputs(2, m, n, dtype)
        for w in (9, 1):
            given = values(n, w)
            out, lse = f(q, k, v, return_lse=True, **given)
            assert (out.dtype, lse.dtype) == (dtype, dtype)
            agrees((out, lse), q, k, v, given, tolerance)


def test_nothing_to_do(f: Attention) -> None:
    for batch, m in ((0, N), (2, 0)):
        _, k, v = inputs(batch)
        out, lse = f(torch.randn(batch, 4, m, 16), k, v, return_lse=True, **values())
        assert out.shape == (batch, 4, m, 16)
        assert lse.shape == (batch, 4, m)
    q, k, v = inputs(2, N, 0)
    out, lse = f(q, k, v, return_lse=True, **values(1))
    assert torch.equal(out, torch.zeros_like(out))
    assert torch.equal(lse, torch.full_like(lse, -torch.inf))


def test_output_keeps_the_order_of_q(f: Attention) -> None:
    q, k, v = inputs()
    moved = q.transpose(1, 2).contiguous().transpose(1, 2)
    for _ in range(3):
        assert f(moved, k, v, **values()).stride() == moved.stride()
        assert f(q, k, v, **values()).stride() == q.stride()


def test_the_short_way_is_right(f: Attention) -> None:
    short = []
    for w, temperature in ((9, 1.3), (3, 2.0), (N, 1), (np.int64(5), np.float32(1.5))):
        for seed in range(3):
            q, k, v = inputs(seed=seed)
            given = values(N, w, temperature)
            short.append(is_short(lambda: agrees(f(q, k, v, return_lse=True, **given), q, k, v, given), f))  # noqa: B023
    assert all(short[i] for i in (2, 5, 8, 11)), short


def test_the_long_way_when_needed(cache: Cache) -> None:
    doc = torch.arange(N, dtype=torch.int32) // 15
    f = native(cache, doc=doc)
    q, k, v = inputs()
    given = {name: x for name, x in values().items() if name != "doc"}

    def call(**changes: Any) -> None:
        answer = f(q, k, v, return_lse=True, **{**given, **changes})
        agrees(answer, q, k, v, {"doc": doc, **given, **changes})

    for _ in range(3):
        call()
    assert is_short(call, f)
    doc[N // 2 :] = 7
    assert is_short(call, f), "a tensor that the kernel reads itself is always up to date"
    other = torch.zeros(N, dtype=torch.int32)
    call(doc=other)
    call(doc=other)
    assert is_short(lambda: call(doc=other), f)
    doc.data = torch.arange(N, dtype=torch.int32) // 4
    call()
    with pytest.raises(CallError, match="no backward"):
        f(q.clone().requires_grad_(), k, v, **given)
    with torch.no_grad():
        f(q.clone().requires_grad_(), k, v, **given)
    for wrong, message in (({"X": 1}, "no such parameter"), ({"W": "x"}, "no int32"), ({"W": 2**31}, "does not fit")):
        with pytest.raises(CallError, match=message):
            f(q, k, v, **{**given, **wrong})


def test_captured_numpy_array(cache: Cache) -> None:
    doc = np.arange(N, dtype=np.int32) // 7
    doc.setflags(write=False)
    q, k, v = inputs()
    given = {name: x for name, x in values().items() if name != "doc"}
    f = native(cache, doc=doc)
    for _ in range(3):
        agrees(f(q, k, v, return_lse=True, **given), q, k, v, {"doc": torch.from_numpy(doc.copy()), **given})


def test_a_dimension_of_one_broadcasts(f: Attention) -> None:
    q, k, v = inputs()
    table = torch.tensor([0.3, 77.0, 77.0, 77.0])
    for _ in range(3):
        given = {**values(), "slopes": table[:1]}
        agrees(f(q, k, v, return_lse=True, **given), q, k, v, given)


def test_one_tensor_as_q_k_and_v(f: Attention) -> None:
    x = torch.randn(2, 4, N, 16)
    kv = x[:, :2]
    given = values()
    for _ in range(3):
        agrees(f(x, kv, kv, return_lse=True, **given), x, kv, kv, given)


def test_one_kernel_for_all_lengths(cache: Cache) -> None:
    emissions: list[Any] = []
    f = native(cache, emissions=emissions)
    for n in (17, 33, 64, 77):
        for batch in (1, 2):
            q, k, v = inputs(batch, n, n)
            f(q, k, v, **values(n, w=n))
    assert [(one.dtype, one.target, one.decode) for one in emissions] == [("fp32", detect().arch, False)]
    for m in (1, 2, 16):
        f(*inputs(1, m, 30), **values(30))
    assert [one.decode for one in emissions] == [False, True]


def test_targets_are_kept_apart(cache: Cache) -> None:
    q, k, v = inputs()
    wanted = native(cache)(q, k, v, return_lse=True, **values())
    for arch in ("sse", "avx2"):
        f = native(cache, target=arch)
        agrees(f(q, k, v, return_lse=True, **values()), q, k, v, values())
        assert [request.target for request in f.loaded] == [arch]
    assert wanted[0].isfinite().all()


def test_tensors_elsewhere_are_refused(f: Attention) -> None:
    q, k, v = inputs()
    given = values()
    for _ in range(3):
        f(q, k, v, **given)
    q, k, v = (x.to("meta") for x in (q, k, v))  # the same shapes: the short way must not take them
    with pytest.raises(RuntimeMissingError, match="native code cannot run on meta"):
        f(q, k, v, **given)


def test_a_text_that_does_not_fit_its_interface(cache: Cache) -> None:
    wrong = text().replace("  const void* shared;", "  const void *shared, *more;")
    with pytest.raises(AssertionError, match="the emitted Call has 232 bytes, its interface 224"):
        native(cache, source=wrong)(*inputs(), **values())


def test_cost_of_a_call(cache: Cache) -> None:
    """CPU time of the calling thread, so that a loaded machine does not show; the work itself is one row."""
    f = native(cache)
    q, k, v = inputs(1, 1, 1)
    given = values(1)
    out = torch.empty_like(q)
    for _ in range(3):
        f(q, k, v, out=out, **given)
    assert is_short(lambda: f(q, k, v, out=out, **given), f)
    best = float("inf")
    for _ in range(7):
        start = time.thread_time()
        for _ in range(2000):
            f(q, k, v, out=out, **given)
        best = min(best, (time.thread_time() - start) / 2000)
    print(f"{best * 1e6:.1f} us a call")
    assert best < 15e-6


def test_memory_beside_the_tensors(cache: Cache) -> None:
    """A long row of queries over few keys each: less than 64 MB more than inputs and output."""
    code = """
import resource, sys
from pathlib import Path
import torch
from attngen.runtime.cache import Cache
from tests.runtime.native.kit import inputs, native, values
f = native(Cache(Path(sys.argv[1])), split=sys.argv[2] == "split")
q, k, v = inputs(1, 64, 64)
out = torch.empty(1, 4, 65536, 16)
f(q, k, v, **values(64))
q, k, v = (torch.empty(1, h, 65536, 16).normal_() for h in (4, 2, 2))
given = values(65536)
out.zero_()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
f(q[:, :, :256], k, v, out=out[:, :, :256], **given)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    for split in ("whole", "split"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(cache.root), split], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert int(done.stdout) < 64 * 1024
