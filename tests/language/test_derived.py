"""Derived tensors against loops over single elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attngen.expr.op import Derived, TensorRef
from attngen.language.derived import RECIPES, derive


@given(st.lists(st.integers(0, 12), max_size=5), st.integers(0, 14))
def test_segment_ids_count_the_boundaries_passed(cuts: list[int], n: int) -> None:
    bounds = np.array([0, *sorted(cuts)])
    got = RECIPES["segment_ids"]([bounds], (), n, n)
    assert got.tolist() == [sum(end <= i for end in bounds[1:]) for i in range(n)]


def test_index_flags_ignore_what_is_outside() -> None:
    got = RECIPES["index_flags"]([np.array([[0, 2, 9], [-1, 1, 1]])], (), 0, 4)
    assert got.tolist() == [[True, False, True, False], [False, True, False, False]]


def test_tree_ancestors_end_at_cycles_and_short_lists() -> None:
    got = RECIPES["tree_ancestors"]([np.array([-1, 0, 1])], (), 3, 9)
    assert got.astype(int).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert RECIPES["tree_ancestors"]([np.array([1, 0])], (), 2, 2).all()
    assert RECIPES["tree_ancestors"]([np.array([-1])], (), 2, 2).astype(int).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize(("m", "n"), [(6, 6), (2, 6), (9, 6), (1, 1)])
@given(data=st.data(), ordered=st.booleans())
def test_segment_bounds_cover_and_hold_equal_ids(
    data: st.DataObject, ordered: bool, m: int, n: int, aligned: int
) -> None:
    ids = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    ids = np.array(sorted(ids) if ordered else ids)
    first, last, exact = (
        RECIPES[f"segment_{name}"]([ids], (aligned,), m, n) for name in ("first", "last", "last_exact")
    )
    for q in range(m):
        row = ids[min(max(q + (n - m if aligned else 0), 0), n - 1)]
        equal = {kv for kv in range(n) if ids[kv] == row}
        assert equal <= set(range(first[q], last[q]))
        assert set(range(first[q], exact[q])) <= equal
        if ordered:
            assert equal == set(range(first[q], last[q])) == set(range(first[q], exact[q]))


def test_sources_of_sources() -> None:
    bounds = TensorRef("cu", "int32", (None,), captured=True)
    ids = TensorRef("ids", "int32", ("N",), derived=Derived("segment_ids", (bounds,)))
    first = TensorRef("first", "int32", ("M",), derived=Derived("segment_first", (ids,), (1,)))
    assert derive(first, {bounds: np.array([0, 2, 5])}, 5, 5).tolist() == [0, 0, 2, 2, 2]
    with pytest.raises(KeyError, match="cu"):
        derive(first, {}, 5, 5)
