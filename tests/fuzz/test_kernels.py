"""The fixed share of kernel cases that every test run works through. `attngen fuzz` has the other streams."""

from __future__ import annotations

import pytest

from attngen.fuzz.work import chunk

SEED, PARTS, CASES = 0, 5, 30


@pytest.mark.parametrize("part", range(PARTS))
def test_kernels(part: int) -> None:
    found = chunk("kernels", SEED, part * CASES, CASES)
    report = [line for failure in found.failures for line in (*failure.problems, failure.script)]
    assert not report, "\n".join(report)
    assert found.cases > 0.8 * CASES, "most cases are taken"


NATIVE_PARTS, NATIVE_CASES = 3, 100


@pytest.mark.parametrize("part", range(NATIVE_PARTS))
def test_native_kernels(part: int) -> None:
    found = chunk("kernels", SEED, part * NATIVE_CASES, NATIVE_CASES, "cpu")
    report = [line for failure in found.failures for line in (*failure.problems, failure.script)]
    assert not report, "\n".join(report)
    assert found.cases > 0.6 * NATIVE_CASES, "most cases are taken"
