"""Kernels for AArch64 against the oracle, by cross-compiler and emulator. Optional: skipped where they are missing."""

from __future__ import annotations

import pytest

import attngen as ag
from attngen.checking.check import check
from tests.oracle.variants import MASKS, SCORES, spec
from tests.support import emulated
from tests.support.emulated import COMPILER, EMULATOR

pytestmark = pytest.mark.skipif(not emulated.available(), reason=f"needs {COMPILER} and {EMULATOR}")
DTYPES = ("fp32", "fp16", "bf16", "fp64")


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype: str) -> None:
    variant = spec(MASKS["window"](70, 130), SCORES["softcap"](70, 130), dim=(40, 24))
    check(variant, 2, 70, 130, dtype, attention=emulated.emulated(variant, dtype))


@pytest.mark.parametrize("name", ["document_ids", "bigbird", "nothing"])
def test_mask(name: str) -> None:
    variant = spec(MASKS[name](63, 85))
    check(variant, 1, 63, 85, "fp32", attention=emulated.emulated(variant, "fp32"))


@pytest.mark.parametrize("name", ["t5_bias", "decay"])
def test_score(name: str) -> None:
    variant = spec(ag.causal(), SCORES[name](40, 77))
    check(variant, 1, 40, 77, "bf16", attention=emulated.emulated(variant, "bf16"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_decode(dtype: str) -> None:
    variant = spec(ag.causal(), ag.alibi(), heads=(4, 1))
    check(variant, 1, 2, 1100, dtype, attention=emulated.emulated(variant, dtype, seqlen_q=2))
