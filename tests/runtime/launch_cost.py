"""The Python cost of a call, in microseconds, up to the driver's own launch (a stub).

python tests/runtime/launch_cost.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def microseconds(call: Callable[[], object], repeats: int = 4000, rounds: int = 7) -> float:
    """Time of the processor in the best round: noise only ever adds, and other programs do not count."""
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        for _ in range(repeats):
            call()
        best = min(best, (time.thread_time() - start) / repeats)
    return best * 1e6


def measure() -> dict[str, float]:
    import torch

    import attngen
    from attngen.runtime.cache import Cache
    from attngen.runtime.load import load
    from tests.runtime.sample import TEXT, SampleSpec, attention
    from tests.support.stub_driver import stub_driver

    n = 256
    doc = torch.arange(n, dtype=torch.int32) // 100
    q, out = (torch.randn(2, 4, n, 16).bfloat16() for _ in range(2))
    k, v = (torch.randn(2, 2, n, 16).bfloat16() for _ in range(2))
    slopes = torch.rand(4)
    values = {"slopes": slopes, "W": 64, "temperature": 1.5}
    with stub_driver(), tempfile.TemporaryDirectory() as folder:
        f = attention(SampleSpec(captured={"doc": doc}), Cache(Path(folder)), target="h100")
        f(q, k, v, **values)
        f(q, k, v, **values)
        f(q, k, v, out=out, **values)
        f(q, k, v, return_lse=True, **values)
        assert len(f._bound) == 3, "the calls below must take the short way"
        sample = load(TEXT)
        prepared = sample.prepare(q, k, v, out, None, doc=doc, **values)
        kernel, grid, args, constants = prepared
        mask = attngen.causal() & attngen.sliding_window(64)
        mistral = attngen.compile(attngen.AttentionSpec("mistral", (4, 2), 16, mask=mask), target="h100")
        mistral(q, k, v)
        mistral(q, k, v)
        run = kernel[grid](*args, **constants).run
        every = [None, None, None, *args, *constants.values()]
        return {
            "call of a variant without parameters": microseconds(lambda: mistral(q, k, v)),
            "call": microseconds(lambda: f(q, k, v, **values)),
            "call with out=": microseconds(lambda: f(q, k, v, out=out, **values)),
            "call with lse": microseconds(lambda: f(q, k, v, return_lse=True, **values)),
            "the stub launcher, part of each call": microseconds(lambda: run(1, 1, 1, 0, 1, 1, *every)),
            "the allocation of out alone": microseconds(lambda: torch.empty_like(q)),
            "Triton's kernel[grid](...), arguments ready": microseconds(lambda: kernel[grid](*args, **constants)),
            "emitted attention(...)": microseconds(
                lambda: sample.attention(q, k, v, out=out, doc=doc, **values), repeats=400
            ),
        }


if __name__ == "__main__":
    for name, cost in measure().items():
        print(f"{cost:7.2f} us  {name}")
