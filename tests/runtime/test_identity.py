"""What tells kernels and tile lists apart: dtype, target, plan, and the numbers that a list depends on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import attngen as ag
from attngen.runtime import triton_way
from attngen.runtime.cache import Cache
from attngen.runtime.native.way import NativeWay
from attngen.runtime.request import Request
from attngen.runtime.triton_way import TritonWay
from tests.runtime.sample import SampleSpec, attention, emitted


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")


def test_a_source_is_stored_by_plan_dtype_target_and_kind() -> None:
    variant = attention(SampleSpec(captured={"doc": torch.zeros(4, dtype=torch.int32)})).variant
    requests = [Request("bf16", "h100", False), Request("fp16", "h100", False), Request("bf16", "a100", False)]
    requests.append(Request("bf16", "h100", True))
    identities = [variant.identity(request, "a plan") for request in requests]
    identities.append(variant.identity(requests[0], "another plan"))
    assert len({tuple(sorted(one.items())) for one in identities}) == len(identities)


def test_each_dtype_has_a_kernel_of_its_own(tmp_path: Path) -> None:
    attend = ag.compile(ag.AttentionSpec("dtypes", 1, 16, mask=ag.causal()), backend="triton")
    for dtype in (torch.float32, torch.float16):
        attend(*(torch.randn(1, 1, 17, 16).to(dtype) for _ in range(3)))
    assert {request.dtype for request in attend.loaded} == {"fp32", "fp16"}


def test_a_kernel_is_for_the_device_of_the_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_way, "target_of", lambda q: "mi300x")
    f = attention(SampleSpec(captured={"doc": torch.zeros(4, dtype=torch.int32)}))
    way = TritonWay.__new__(TritonWay)
    way.variant, way.interpret = f.variant, False
    call = SimpleNamespace(tensors=[torch.zeros(1, 4, 17, 16)], sizes=SimpleNamespace(m=17))
    assert way.request(call).target == "mi300x"  # type: ignore[arg-type]


def test_a_tile_list_is_made_for_the_numbers_of_its_call() -> None:
    """A window of a parameter and flags of keys: no closed form, so a list, which another number must not meet."""
    mask = "causal & sliding_window(W) & key_flags[kv]"
    spec = ag.AttentionSpec(
        "chosen", 1, 16, mask=mask, params={"W": "int32"}, tensors={"key_flags": (("N",), "bool")}, blocks=(16, 16)
    )
    attend = ag.compile(spec, backend="triton")
    flags, (q, k, v) = torch.ones(70, dtype=torch.bool), (torch.randn(1, 1, 70, 16) for _ in range(3))
    for number in (5, 60, 20):
        out = attend(q, k, v, W=number, key_flags=flags)
        exact, _ = ag.reference(spec, q, k, v, W=number, key_flags=flags)
        torch.testing.assert_close(out.double(), torch.from_numpy(exact), rtol=1e-4, atol=1e-5)
    (loaded,) = attend.loaded.values()
    assert loaded.module.TILE_LIST


def test_sources_are_emitted_once_for_each_request() -> None:
    seen: list[Request] = []
    f = attention(
        SampleSpec(captured={"doc": torch.zeros(20, dtype=torch.int32)}),
        emit=lambda request: seen.append(request) or emitted(request),  # type: ignore[func-returns-value]
    )
    q, k, v = (torch.randn(1, heads, 20, 16) for heads in (4, 2, 2))
    for _ in range(2):
        f(q, k, v, slopes=torch.rand(4), W=5, temperature=1.0)
    assert len(seen) == 1 and os.environ["TRITON_INTERPRET"] == "1"


def test_a_stored_native_text_is_not_rendered_again(tmp_path: Path) -> None:
    """By another process too; what the origin says stands in the text, so another origin is another text."""
    rendered: list[str] = []

    def keep(origin: str, text: str = "int n = 1;") -> str:
        variant = attention(SampleSpec(captured={"doc": torch.zeros(4, dtype=torch.int32)}), Cache(tmp_path)).variant
        request = Request("bf16", "avx2", False)

        def render() -> str:
            rendered.append(origin)
            return text

        return NativeWay(variant)._kept(request, replace(emitted(request), source=render, origin=origin)).source

    assert [keep("a"), keep("a"), keep("b")] == ["int n = 1;"] * 3
    assert rendered == ["a", "b"]
    assert [keep("", f"int n = {n};") for n in (2, 3)] == ["int n = 2;", "int n = 3;"], "a caller's own text"
    assert keep("a") == "int n = 1;" and rendered == ["a", "b", "", ""]
    for file in (tmp_path / "sources").iterdir():
        file.write_text("damaged")
    assert keep("a") == "int n = 1;" and rendered[-1] == "a"


def test_a_triton_source_is_what_this_process_emitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is executed: a store is data, and nothing of it is."""
    monkeypatch.setattr(Cache, "get", lambda *_: pytest.fail("read from the store"))
    attend = ag.compile(ag.AttentionSpec("emitted", 1, 16), backend="triton")
    attend(*(torch.randn(1, 1, 5, 16) for _ in range(3)))


def test_the_words_of_a_header_are_part_of_what_a_source_is_kept_by() -> None:
    one, other = (ag.AttentionSpec("kept", 2, 16, mask=ag.causal(), doc=doc) for doc in ("This.", "That."))
    made = [ag.generate(spec, "avx2", dtype="fp32") for spec in (one, other)]
    assert "That." in made[1].text and made[0].origin != made[1].origin
    q, k, v = (torch.randn(1, 2, 9, 16) for _ in range(3))
    for spec in (one, other):
        attend = ag.compile(spec, backend="cpu")
        attend(q, k, v)
        (loaded,) = attend.loaded.values()
        assert spec.doc in loaded.stored.source
