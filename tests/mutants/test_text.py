"""Claims about emitted text that no interpreted run can check: offsets that only overflow in large tensors."""

from __future__ import annotations

import re

import pytest
import torch

import attngen as ag
from attngen.pipeline import generate
from tests.oracle.variants import spec


@pytest.mark.parametrize("queries", [None, 1])
@pytest.mark.parametrize("target", ["a100", "h100"])
def test_products_with_strides_of_whole_tensors_have_64_bits(target: str, queries: int | None) -> None:
    made = spec(ag.causal(), ag.bias(torch.zeros(2, 8, 16, 16)), heads=(8, 2), dim=64)
    source = generate(made, target, seqlen_q=queries).text
    kernel = source[source.index("def attention_forward") : source.index("def check_tensor")]
    products = re.findall(
        r"([^\s(]+(?:\([^()]*\))?\)?(?:\[[^\]]*\])?) \* (stride_[qkvo][bh]|bias_stride_[012])", kernel
    )
    assert len(products) >= 10
    for left, stride in products:
        assert "tl.int64" in left, f"{left} * {stride}"
