"""What the proofs assume of the tables of documents is what the launcher and the reference make, for any ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from attngen.emit.environment import environment
from attngen.language.derived import RECIPES

Tables = Callable[[Any, int, int, bool], tuple[Any, Any, Any]]


def _of_the_launcher(ids: Any, m: int, n: int, aligned: bool) -> tuple[Any, Any, Any]:
    names: dict[str, Any] = {"torch": torch}
    exec(environment("triton").get_template("host/segment_bounds.py.j2").render(), names)
    first, last, exact = names["segment_bounds"](torch.from_numpy(ids), m, n, aligned)
    return first.numpy(), last.numpy(), exact.numpy()


def _of_the_reference(ids: Any, m: int, n: int, aligned: bool) -> tuple[Any, Any, Any]:
    first, last, exact = (
        RECIPES[name]([ids], (int(aligned),), m, n) for name in ("segment_first", "segment_last", "segment_last_exact")
    )
    return first, last, exact


def _check(tables: Tables, ids: Any, m: int, n: int, aligned: bool) -> None:
    first, last, exact = tables(ids, m, n, aligned)
    rows, keys = np.arange(m) + ((n - m) if aligned else 0), np.arange(n)
    at = [np.clip(index, 0, ids.shape[-1] - 1) for index in (rows, keys)]
    for line in np.ndindex(ids.shape[:-1]):
        same = ids[line][at[0]][:, None] == ids[line][at[1]][None, :]
        low, high, sure = (table[line][:, None] for table in (first, last, exact))
        assert ((low <= keys) & (keys < high))[same].all(), (ids, m, n, "a key of the document is left out")
        assert same[(low <= keys) & (keys < sure)].all(), (ids, m, n, "a key of another document counts as sure")
        assert ((low >= 0) & (low <= high) & (high <= n)).all()
        assert ((sure == 0) | (sure == high)).all()


def _some_ids(rng: np.random.Generator, size: int) -> Any:
    ids = rng.integers(0, 5, (2, size)).astype(np.int32)
    return np.sort(ids, axis=-1) if rng.random() < 0.7 else ids


@pytest.mark.parametrize("tables", [_of_the_launcher, _of_the_reference])
def test_rows_that_stand_at_the_last_keys(tables: Tables) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        m, n = (int(x) for x in rng.integers(1, 20, 2))
        _check(tables, _some_ids(rng, n), m, n, True)


@pytest.mark.parametrize("tables", [_of_the_launcher, _of_the_reference])
def test_raw_rows_with_as_many_ids_as_rows_and_keys(tables: Tables) -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        m, n = (int(x) for x in rng.integers(1, 20, 2))
        _check(tables, _some_ids(rng, max(m, n)), m, n, False)
