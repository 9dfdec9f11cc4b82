"""What is refused: every row of the table in docs/flexattention.md, with the words that it promises."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import attngen as ag

PAGE = (Path(__file__).parents[2] / "docs" / "flexattention.md").read_text(encoding="utf-8")
TABLE = torch.rand(64, 512)
IDS = torch.arange(64)
NUMBERS = [1, 2, 3] * 20
FP8, UINT64, COMPLEX = (torch.zeros(64).to(dtype) for dtype in (torch.float8_e4m3fn, torch.uint64, torch.complex64))
SPARSE, EMPTY = torch.eye(64).to_sparse(), torch.zeros(0)


def branch(b: Any, h: Any, q: Any, k: Any) -> Any:
    if q >= k:
        return True
    return k < 4


def asserts(b: Any, h: Any, q: Any, k: Any) -> Any:
    assert q >= 0
    return q >= k


def loop(score: Any, b: Any, h: Any, q: Any, k: Any) -> Any:
    for _ in range(q):
        score = score + 1
    return score


def writes(score: Any, b: Any, h: Any, q: Any, k: Any) -> Any:
    TABLE[q, k] = 1
    return score


def forgets(b: Any, h: Any, q: Any, k: Any) -> Any:
    q >= k  # noqa: B015


def huge(score: Any, b: Any, h: Any, q: Any, k: Any) -> Any:
    for i in range(3000):
        score = score + torch.sin(q + float(i))
    return score


Masks = dict[str, list[Callable[..., Any]]]
MASKS: Masks = {
    "`if`, `and`, `or`, `not`, `assert` on an index or score": [
        branch, asserts, lambda b, h, q, k: q >= k and k > 3, lambda b, h, q, k: q >= k or k > 3,
        lambda b, h, q, k: not q < k, lambda b, h, q, k: q if q > k else k,
    ],
    "a chain `a <= q_idx < b`": [lambda b, h, q, k: k - 3 <= q < k + 5],
    "`q_idx.item()`": [lambda b, h, q, k: q.item() >= k],
    "`my_list[q_idx]`, `range(q_idx)`": [lambda b, h, q, k: NUMBERS[q] > k],
    "`my_dict[h]`": [lambda b, h, q, k: {0: True}[h]],
    "`kv_idx in allowed`, `torch.isin`": [lambda b, h, q, k: k in IDS, lambda b, h, q, k: torch.isin(k, IDS)],
    "`torch.searchsorted`, `bucketize`": [
        lambda b, h, q, k: torch.searchsorted(IDS, q) > k, lambda b, h, q, k: torch.bucketize(q, IDS) > k,
    ],
    "conversions to 8- and 16-bit integers": [lambda b, h, q, k: q.to(torch.int8) >= k],
    "a mask that returns a float": [lambda b, h, q, k: (q - k).float()],
    "no `return`, or a row instead of a number": [forgets, lambda b, h, q, k: TABLE[:, :4][q] > 0],
}  # fmt: skip
SCORES: Masks = {
    "Python's `min`, `max`": [lambda s, b, h, q, k: s + max(q, k), lambda s, b, h, q, k: min(s, 3.0)],
    "`my_list[q_idx]`, `range(q_idx)`": [loop],
    "`math.exp(score)`": [lambda s, b, h, q, k: math.exp(s), lambda s, b, h, q, k: s + math.log2(h + 1)],
    "random numbers, dropout": [
        lambda s, b, h, q, k: s + torch.rand(()), lambda s, b, h, q, k: s + torch.randn_like(s),
        lambda s, b, h, q, k: F.dropout(s, 0.1),
    ],
    "`softmax`, `cumsum`, `sort`": [
        lambda s, b, h, q, k: torch.softmax(s, -1), lambda s, b, h, q, k: s.cumsum(0),
        lambda s, b, h, q, k: s + TABLE[q].sort().values[0],
    ],
    "a sum over more than 256 captured elements": [lambda s, b, h, q, k: s + TABLE[q].sum()],
    "a slice with borders, `table[q_idx, :8]`": [
        lambda s, b, h, q, k: s + TABLE[q, :8].sum(), lambda s, b, h, q, k: s + TABLE[q][:8].sum(),
    ],
    "a list of subscripts, `table[q_idx, [1, 2]]`": [
        lambda s, b, h, q, k: s + TABLE[q, [1, 2]].sum(), lambda s, b, h, q, k: s + TABLE[q, torch.tensor([1])].sum(),
    ],
    "`torch.gather`, `index_select`, `take`, `embedding`": [
        lambda s, b, h, q, k: s + torch.gather(TABLE[0], 0, q), lambda s, b, h, q, k: s + torch.take(TABLE, q),
        lambda s, b, h, q, k: s + torch.index_select(TABLE[0], 0, q), lambda s, b, h, q, k: s + F.embedding(q, TABLE),
    ],
    "`einsum`, `matmul` of captured rows": [
        lambda s, b, h, q, k: s + torch.einsum("i,i->", TABLE[q], TABLE[k]),
        lambda s, b, h, q, k: s + torch.matmul(TABLE[q], TABLE[k]),
    ],
    "`x ** y` of two variables": [lambda s, b, h, q, k: s**k, lambda s, b, h, q, k: torch.pow(s, q)],
    "`lgamma`, `erfinv`, `atan2`, `sinh` and other functions that are not in the table": [
        lambda s, b, h, q, k: torch.lgamma(s), lambda s, b, h, q, k: s.erfinv(),
        lambda s, b, h, q, k: torch.atan2(s, s + 1), lambda s, b, h, q, k: torch.sinh(s),
    ],
    "in-place methods and writes, `score.add_(1)`, `table[q_idx] = 1`": [lambda s, b, h, q, k: s.add_(1), writes],
    "complex numbers": [lambda s, b, h, q, k: (s * 1j).real],
    "captured tensors of fp8, uint64, complex dtypes": [
        lambda s, b, h, q, k: s + FP8[q], lambda s, b, h, q, k: s + UINT64[q], lambda s, b, h, q, k: s + COMPLEX[q],
    ],
    "captured sparse tensors": [lambda s, b, h, q, k: s + SPARSE[q, k]],
    "captured tensors without elements": [lambda s, b, h, q, k: s + EMPTY[q]],
    "a constant subscript outside its tensor": [
        lambda s, b, h, q, k: s + TABLE[q, 512], lambda s, b, h, q, k: s + TABLE[-65, k],
    ],
    "more than 5,000 operations": [huge],
}  # fmt: skip


def rows() -> dict[str, str]:
    """What is not taken, and what the error says, as the page has it."""
    section = PAGE.partition("## What is not taken")[2].partition("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.replace("\\|", "OR").split("|")[1:-1]]
        for line in section.splitlines()
        if line.startswith("| ")
    ]
    return {row[0].replace("OR", "\\|"): row[1] for row in cells[2:]}


def cases() -> list[Any]:
    return [
        pytest.param(name, kind, callable_, id=f"{name} {i}")
        for kind, table in (("mask", MASKS), ("score", SCORES))
        for name, callables in table.items()
        for i, callable_ in enumerate(callables)
    ]


@pytest.mark.parametrize(("name", "kind", "mod"), cases())
def test_refused_in_the_words_of_the_page(name: str, kind: str, mod: Callable[..., Any]) -> None:
    with pytest.raises(ag.AttngenError) as error:
        ag.AttentionSpec("x", 4, 16, **{kind: mod})
    assert rows()[name] in str(error.value)
    assert error.value.remedy
    assert kind in error.value.place or "captured" in error.value.place
    assert len(str(error.value)) < 1000


def test_every_row_is_tested() -> None:
    assert set(rows()) == set(MASKS) | set(SCORES)


def test_numbers_of_a_table_are_computed_at_once() -> None:
    """What needs no index is plain torch: shapes, sums and numbers of a captured tensor."""

    def score_mod(score: Any, b: Any, h: Any, q: Any, k: Any) -> Any:
        return score * TABLE[0].shape[0] + TABLE[1].sum() + TABLE[0, 3].item() + TABLE[0].reshape(8, 64)[3, q]

    spec = ag.AttentionSpec("x", 1, 16, score=score_mod)
    assert {tuple(tensor.shape) for tensor in spec.captured.values()} == {(), (8, 64)}
    assert "512.0" in str(spec.definition.score)
