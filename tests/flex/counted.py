"""Counts sources and kernels while closures, lengths and parameters change; prints the counts as JSON.

A process of its own: Triton compiles for a real target here, which the interpreter of the other tests excludes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import attngen as ag
from tests.flex.masks import causal, documents
from tests.support.stub_driver import stub_driver

LENGTHS = (17, 32, 63, 64, 77, 100, 128, 255, 256, 1000)
HEADS = (4, 2)
CACHE = Path(os.environ["ATTNGEN_CACHE_DIR"])


def inputs(n: int, m: int = 0) -> list[torch.Tensor]:
    batch = 1 + n % 3
    return [torch.randn(batch, heads, rows, 16).bfloat16() for heads, rows in ((4, m or n), (2, n), (2, n))]


def spec(mask: Any = None, score: Any = None, **more: Any) -> ag.AttentionSpec:
    return ag.AttentionSpec("counted", HEADS, 16, mask=mask, score=score, **more)


def offsets(n: int) -> torch.Tensor:
    cuts = torch.randint(0, n + 1, (n % 5 + 1,)).sort().values
    return torch.cat([torch.tensor([0]), cuts, torch.tensor([n])])


def counted(run: Callable[[], list[Any]]) -> dict[str, int]:
    """What a run that returns its compiled variants has made: texts on disk, and binaries of Triton."""
    before = {path.name for path in CACHE.glob("sources/*.py")}
    variants = run()
    modules = {id(one.module): one.module for variant in variants for one in variant.loaded.values()}
    functions = [x for module in modules.values() for x in vars(module).values() if hasattr(x, "device_caches")]
    return {
        "fingerprints": len({variant.spec.fingerprint for variant in variants}),
        "sources": len({path.name for path in CACHE.glob("sources/*.py")} - before),
        "kernels": sum(len(x.device_caches[0][0]) for x in functions if x.device_caches),
    }


def a_new_closure_over_new_documents_each_batch() -> list[Any]:
    variants = []
    for n in LENGTHS:
        variants.append(ag.compile(spec(documents(causal, offsets(n))), target="h100"))
        variants[-1](*inputs(n))
    return variants


def a_new_closure_over_a_new_bias_each_batch() -> list[Any]:
    variants = []
    for n in LENGTHS:
        bias = torch.randn(4, n, n)
        variants.append(ag.compile(spec(causal, lambda s, b, h, q, k: s + bias[h, q, k]), target="h100"))  # noqa: B023
        variants[-1](*inputs(n))
    return variants


def captured_tensors_replaced_by_name() -> list[Any]:
    first = offsets(17)
    attend = ag.compile(spec(documents(causal, first), ag.softcap(9.0)), target="h100")
    for n in LENGTHS:
        cuts = offsets(n)
        ids = torch.repeat_interleave(torch.arange(len(cuts) - 1, dtype=torch.int32), cuts.diff())
        attend(*inputs(n), document_id=ids, offsets=cuts)
    return [attend]


def a_captured_number_that_changes() -> list[Any]:
    """A tensor without dimensions is an argument of the kernel, as a parameter is."""
    variants = []
    for n in LENGTHS:
        for reach in (1, 16, 37):
            window = torch.tensor(reach, dtype=torch.int32)
            mask = lambda b, h, q, k: (q >= k) & (q - k < window)  # noqa: B023, E731
            variants.append(ag.compile(spec(mask), target="h100"))
            variants[-1](*inputs(n))
    return variants


def ten_lengths_and_three_parameter_values() -> list[Any]:
    mask = causal_with_gap() & ag.sliding_window("W")
    declared = {"W": "int32", "tau": "float32"}
    attend = ag.compile(spec(mask, ag.temperature("tau"), params=declared), target="h100")
    for n in LENGTHS:
        for value in (1, 16, 37):
            attend(*inputs(n), W=value, tau=value / 2)
            attend(*inputs(n, m=n + 20), W=value, tau=value / 2)
    return [attend]


def causal_with_gap() -> Any:
    return ag.causal() & (lambda b, h, q, k: k != 5)


def a_python_number_is_a_constant() -> list[Any]:
    """Three windows, three kernels: what is not a tensor or a parameter is part of the text."""
    variants = []
    for window in (8, 16, 24):
        mask = lambda b, h, q, k: (q >= k) & (q - k < window)  # noqa: B023, E731
        variants.append(ag.compile(spec(mask), target="h100"))
        variants[-1](*inputs(64))
    return variants


SCENARIOS = (
    a_new_closure_over_new_documents_each_batch,
    a_new_closure_over_a_new_bias_each_batch,
    captured_tensors_replaced_by_name,
    a_captured_number_that_changes,
    ten_lengths_and_three_parameter_values,
    a_python_number_is_a_constant,
)


def main() -> None:
    torch.manual_seed(0)
    with stub_driver():
        print(json.dumps({scenario.__name__: counted(scenario) for scenario in SCENARIOS}))


if __name__ == "__main__":
    main()
