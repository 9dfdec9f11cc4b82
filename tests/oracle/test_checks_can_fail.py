"""The harness itself: a right kernel passes, and each of many wrong ones is caught, for the right reason."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from attngen.checking.check import check
from attngen.checking.plain import TABLE
from attngen.checking.poison import LAYOUTS, guards_intact, poisoned, poisoned_allocations
from attngen.checking.policy import compare
from attngen.expr.op import LEAVES, Op
from attngen.runtime.cache import Cache
from attngen.runtime.launch import Emitted, Request
from attngen.runtime.tensors import COMPUTE_DTYPES
from tests.runtime import sample

M, N = 45, 41  # the first rows have no key


def run(text: str, dtype: str = "fp32", layout: str = "contiguous", **options: Any) -> None:
    spec = sample.SampleSpec(captured={"doc": torch.arange(N, dtype=torch.int32) // 15})

    def emit(request: Request) -> Emitted:
        right = sample.emitted(request)
        return Emitted(text, right.plan, right.schedule)

    values = {"slopes": torch.linspace(0.1, 0.4, 4), "W": 9, "temperature": 1.3}
    check(spec, 2, M, N, dtype, layout=layout, values=values, attention=sample.attention(spec, emit=emit), **options)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_pass(layout: str) -> None:
    run(sample.TEXT, layout=layout)


@pytest.mark.parametrize("dtype", COMPUTE_DTYPES)
@pytest.mark.parametrize("magnitude", [1.0, 30.0])
def test_dtypes_pass(dtype: str, magnitude: float) -> None:
    run(sample.TEXT, dtype, magnitude=magnitude, kv_batch=1)


MUTANTS = {
    # name: (right text, wrong text, what the report says)
    "window off by one": ("distance < W", "distance <= W", "largest error"),
    "causal off by one": ("distance >= 0", "distance > 0", "lse"),
    "top-left": ("pos = rows + (N - M)", "pos = rows", "out"),
    "documents ignored": ("(row_doc[:, None] == key_doc[None, :]) & ", "", "largest error"),
    "temperature forgotten": (") / temperature", ")", "largest error"),
    "wrong head of keys": ("(head // GROUP) * kh", "head % (H // GROUP) * kh", "largest error"),
    "ALiBi sign": ("slope * (keys[None, :] - pos[:, None])", "slope * (pos[:, None] - keys[None, :])", "largest error"),
    "sum not rescaled": ("total * shrink + tl.sum", "total + tl.sum", "lse"),
    "output not rescaled": ("acc * shrink[:, None]", "acc", "out: largest error"),
    "lse in base 2": ("top + tl.log(total)", "top * 1.4426950408889634 + tl.log2(total)", "lse"),
    "lse not written": ("if WITH_LSE:", "if False:", "lse: NaN"),
    "last tile left out": ("tl.max(pos, 0) + 1)", "tl.max(pos, 0) + 1) - BLOCK_N", "out"),
    "first tile left out": ("lo = tl.min(first, 0)", "lo = BLOCK_N + tl.min(first, 0)", "out"),
    "store without mask": (", mask=row_ok[:, None])", ")", "OutOfBounds: store"),
    "lse store without mask": ("top + tl.log(total), mask=row_ok)", "top + tl.log(total))", "OutOfBounds: store"),
    "load without mask": ("kd, mask=key_ok[None, :], other=0.0)", "kd)", "OutOfBounds: load"),
    "load past the batch": ("batch * kb", "(batch + 1) * kb", "OutOfBounds: load"),
    "q read for k": ("k = tl.load(k_head +", "k = tl.load(Q + batch * kb + (head // GROUP) * kh +", "out"),
    "writes its input": ("top = new_top\n", "tl.store(q_rows, q + 1, mask=row_ok[:, None])\n", "q: the kernel changed"),
    "empty row divides": ("tl.where(total == 0.0, 1.0, total)", "total", "out: NaN"),
    "value stride": ("columns = keys[None, :].to(tl.int64)", "columns = keys[None, :].to(tl.int64) + 1", "OutOfBounds"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_caught(name: str) -> None:
    right, wrong, report = MUTANTS[name]
    assert sample.TEXT.count(right) == 1, "the mutation must apply"
    with pytest.raises(AssertionError) as caught:
        run(sample.TEXT.replace(right, wrong))
    text = str(caught.value)
    assert report in text
    assert "seed=0" in text, "the report must say how to see it again"


def test_low_precision_accumulation_is_caught() -> None:
    """Half as many bits in the running output: within any fixed tolerance of bf16, outside the error ratio."""
    wrong = sample.TEXT.replace(
        "        top = new_top\n", "        top = new_top\n        acc = acc.to(tl.bfloat16).to(tl.float32)\n"
    )
    with pytest.raises(AssertionError, match="error"):
        run(wrong, "fp16")


def test_policy_reports_special_values() -> None:
    exact = torch.tensor([0.0, 1.0, -torch.inf])
    for got in ([0.0, torch.nan, -torch.inf], [0.0, 1.0, 0.0], [-torch.inf, 1.0, -torch.inf]):
        assert compare("lse", torch.tensor(got), exact, exact, "fp32", 1e-6, 1e-6)
    assert not compare("lse", exact, exact, exact, "fp32", 0.0, 0.0)
    assert compare("lse", exact[:2], exact, exact, "fp32", 1.0, 1.0)


def test_policy_bounds_both_the_largest_and_the_mean_error() -> None:
    exact, plain = torch.zeros(1000), torch.zeros(1000)
    plain[0] = 1e-3
    spread, peak = torch.full((1000,), 1e-3), torch.zeros(1000)
    peak[7] = 3e-3
    assert any("rms" in line for line in compare("out", spread, exact, plain, "fp32", 0.0, 0.0))
    assert any("(7,)" in line for line in compare("out", peak, exact, plain, "fp32", 0.0, 1.0))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_poison(layout: str) -> None:
    values = torch.randn(2, 3, 5, 8)
    view = poisoned(values, layout)
    assert torch.equal(view, values)
    assert guards_intact(view)
    base = view._base
    assert base is not None
    assert torch.isnan(base).any()
    base[torch.isnan(base).nonzero(as_tuple=True)] = 0.0
    assert not guards_intact(view)


def test_allocations_are_poisoned() -> None:
    with poisoned_allocations():
        assert torch.isnan(torch.empty(3)).all()
        assert torch.isnan(torch.empty_strided((2, 2), (2, 1), dtype=torch.bfloat16)).all()
        assert torch.empty(3, dtype=torch.int32).tolist() == [2**31 - 1] * 3
    assert not torch.are_deterministic_algorithms_enabled()


def test_plain_pytorch_knows_every_operation() -> None:
    assert set(TABLE) | LEAVES | {Op.LOAD} == set(Op)


def test_every_mutation_leaves_a_program() -> None:
    for right, wrong, _ in itertools.islice(MUTANTS.values(), None):
        ast.parse(sample.TEXT.replace(right, wrong))


def test_cache_of_the_tests_is_not_the_users() -> None:
    import tempfile

    assert str(Cache().root).startswith(tempfile.gettempdir())
    assert Path(tempfile.gettempdir()).exists()
