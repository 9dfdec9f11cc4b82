"""What a call refuses, with the value, the place and the way out; and what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from attngen.errors import CallError, RuntimeMissingError, UnsupportedError
from attngen.runtime import tensors
from attngen.runtime.launch import Attention
from tests.runtime.sample import SampleSpec, attention, emitted

N = 20


@pytest.fixture(scope="module")
def f() -> Attention:
    return attention(SampleSpec(captured={"doc": torch.zeros(N, dtype=torch.int32)}))


def call(**changes: Any) -> dict[str, Any]:
    q, k, v = (torch.randn(2, heads, N, 16) for heads in (4, 2, 2))
    return {"q": q, "k": k, "v": v, "slopes": torch.rand(4), "W": 5, "temperature": 1.0} | changes


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in call().items() if key != name}


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], str, str]] = {
    # name: (arguments, what the message says, its way out)
    "three dimensions": (lambda: call(q=torch.randn(4, N, 16)), "`q`: shape [4, 20, 16] has 3", "[batch, heads, rows"),
    "heads of q": (lambda: call(q=torch.randn(2, 2, N, 16)), "expected [2, 4, 20, 16] = [B, Hq", "4 query and 2"),
    "heads of k": (lambda: call(k=torch.randn(2, 4, N, 16)), "`k`: shape [2, 4, 20, 16]", "2 key/value heads"),
    "rows of v": (lambda: call(v=torch.randn(2, 2, N + 1, 16)), "`v`: shape [2, 2, 21, 16]", "2 key/value heads"),
    "batch of k": (lambda: call(k=torch.randn(3, 2, N, 16)), "[B or 1, Hkv, N, D]", "the spec has"),
    "dtype": (lambda: call(q=torch.randn(2, 4, N, 16).double()), "dtype fp64", "q.to(torch.float16)"),
    "dtypes differ": (lambda: call(k=torch.randn(2, 2, N, 16).half()), "dtype fp16, q has fp32", "k.to(torch.float32)"),
    "not a tensor": (lambda: call(q=[[1.0]]), "a list, not a torch tensor", "pass torch tensors"),
    "missing param": (lambda: without("W"), "`W`: missing", "pass W=..."),
    "missing tensor": (lambda: without("slopes"), "`slopes`: missing", "pass slopes=..."),
    "unknown": (lambda: call(temprature=2.0), "no such parameter or tensor", "did you mean `temperature`?"),
    "float for int": (lambda: call(W=2.5), "2.5 is no int32", "Python number"),
    "text for float": (lambda: call(temperature="hot"), "'hot' is no float32", "Python number"),
    "tensor for number": (lambda: call(W=torch.tensor(3)), "a tensor, not a number", "W.item()"),
    "too large": (lambda: call(W=2**40), "does not fit into int32", "below 2**31"),
    "shape of a table": (lambda: call(slopes=torch.rand(3)), "shape [3], expected [H]", "H = 4"),
    "rank of a table": (lambda: call(slopes=torch.rand(1, 4)), "shape [1, 4], expected [H]", "dimension of 1"),
    "dtype of a table": (lambda: call(slopes=torch.rand(4).half()), "dtype fp16, the spec says fp32", "slopes.to("),
    "replaced captured": (lambda: call(doc=torch.zeros(N)), "dtype fp32, the spec says int32", "doc.to(torch.int32)"),
    "shape of out": (lambda: call(out=torch.empty(2, 4, N, 8)), "`out`: shape [2, 4, 20, 8]", "the spec has"),
    "dtype of out": (lambda: call(out=torch.empty(2, 4, N, 16).half()), "fp16 on cpu, q is fp32", "empty_like(q)"),
    "gradient": (lambda: call(v=torch.randn(2, 2, N, 16, requires_grad=True)), "no backward", "torch.no_grad()"),
    "meta": (lambda: call(k=torch.randn(2, 2, N, 16, device="meta")), "on meta, q is on cpu", "k.to(q.device)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(f: Attention, name: str) -> None:
    arguments, what, remedy = REFUSED[name]
    with pytest.raises(CallError) as error:
        f(**arguments())
    assert what in str(error.value)
    assert remedy in error.value.remedy
    assert error.value.place.startswith("sample, argument `")


def test_neither_gpu_nor_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "interpreting", lambda: False)
    for asked in ({"backend": "triton"}, {"target": "h100"}):
        f = attention(SampleSpec(captured={"doc": torch.zeros(N, dtype=torch.int32)}), **asked)
        with pytest.raises(RuntimeMissingError, match="cannot run on cpu tensors") as error:
            f(**call())
        assert "TRITON_INTERPRET=1" in error.value.remedy


WAYS = {
    # (device, TRITON_INTERPRET, backend, target): the way, or None for an error
    ("cpu", False, None, None): "native",
    ("cpu", True, None, None): "interpret",
    ("cpu", True, "cpu", None): "native",
    ("cpu", True, "triton", None): "interpret",
    ("cpu", False, "triton", None): None,
    ("cpu", False, None, "h100"): None,
    ("cpu", False, None, "avx2"): "native",
    ("cpu", True, None, "cpu"): "native",
    ("cuda", False, None, None): "launch",
    ("cuda", True, None, None): "interpret",
    ("cuda", False, "cpu", None): None,
    ("meta", True, None, None): None,
}


@pytest.mark.parametrize("case", WAYS, ids=str)
def test_the_way_is_the_one_asked_for(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, interpret, backend, target = case
    monkeypatch.setattr(tensors, "interpreting", lambda: interpret)
    tensor = SimpleNamespace(device=torch.device(kind))
    if WAYS[case] is None:
        with pytest.raises(RuntimeMissingError):
            tensors.way_to_run(tensor, backend, target)
    else:
        assert tensors.way_to_run(tensor, backend, target) == WAYS[case]


def test_unknown_backend() -> None:
    with pytest.raises(UnsupportedError, match="backend 'cuda'"):
        Attention(SampleSpec(), emitted, backend="cuda")


def test_outputs(f: Attention) -> None:
    out, lse = f(**call(), return_lse=True)
    assert (out.shape, out.dtype) == ((2, 4, N, 16), torch.float32)
    assert (lse.shape, lse.dtype) == ((2, 4, N), torch.float32)
    given = torch.empty(2, 4, N, 16)
    arguments = call()
    assert f(**arguments, out=given) is given
    torch.testing.assert_close(f(**arguments), given, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(0, N), (2, 0)])
def test_nothing_to_do(f: Attention, shape: tuple[int, int]) -> None:
    batch, m = shape
    k, v = torch.randn(batch, 2, N, 16), torch.randn(batch, 2, N, 16)
    out, lse = f(**call(q=torch.randn(batch, 4, m, 16), k=k, v=v), return_lse=True)
    assert out.shape == (batch, 4, m, 16)
    assert lse.shape == (batch, 4, m)


def test_longer_tables_are_taken(f: Attention) -> None:
    arguments = call()
    doc = torch.zeros(N + 50, dtype=torch.int32)
    torch.testing.assert_close(f(**arguments, doc=doc), f(**arguments))


def test_captured_numpy_array() -> None:
    import numpy as np

    arguments = call()
    doc = np.arange(N, dtype=np.int32) // 7
    doc.setflags(write=False)
    mine = attention(SampleSpec(captured={"doc": doc}))(**arguments)
    torch.testing.assert_close(mine, attention(SampleSpec())(**arguments, doc=torch.from_numpy(doc.copy())))


def test_signature_names_the_parameters(f: Attention) -> None:
    names = list(inspect.signature(f).parameters)
    assert names == ["q", "k", "v", "return_lse", "out", "slopes", "doc", "W", "temperature", "unknown"]
    assert isinstance(f, Attention)
    assert "sample: 4/2 heads of 16" in repr(f)
