"""Measures the sweeps of tests/tune/sweeps anew, on this machine: ``python -m tests.tune.record [NAME...]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import attngen as ag
from attngen.records.lines import to_line
from attngen.records.store import Store
from attngen.runtime.native.isa import detect
from attngen.tune.effort import Effort
from attngen.tune.native import NativeKernels, Shape
from attngen.tune.session import submitting, sweep

SWEEPS = Path(__file__).with_name("sweeps")
EFFORT = Effort("recorded", 28, 7, 3, 3, 5, 0.02, 600.0, 4, learn=False)
CAUSAL, WINDOW = ag.causal(), ag.sliding_window(64)
SUBJECTS = {
    "causal_d64_fp32": (
        ag.AttentionSpec(name="causal", heads=4, head_dim=64, mask=CAUSAL),
        "fp32",
        Shape(1, 1024, 1024),
    ),
    "window64_d64_fp32": (
        ag.AttentionSpec(name="window64", heads=4, head_dim=64, mask=CAUSAL & WINDOW),
        "fp32",
        Shape(1, 2048, 2048),
    ),
    "causal_d128_bf16": (
        ag.AttentionSpec(name="causal128", heads=4, head_dim=128, mask=CAUSAL),
        "bf16",
        Shape(1, 1024, 1024),
    ),
    "decode_4k": (ag.AttentionSpec(name="decode", heads=(8, 2), head_dim=128, mask=CAUSAL), "fp32", Shape(1, 1, 4096)),
}


def record(name: str) -> None:
    spec, dtype, shape = SUBJECTS[name]
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(Path(folder) / "records.sqlite") as store,
        submitting(None) as submit,
    ):
        kernels = NativeKernels(spec, detect(), dtype, shape, Path(folder))
        result = sweep(kernels, store, submit, EFFORT, str(shape), EFFORT.budget_s, None)
        lines = [to_line(row) for row in store.measurements(subject=kernels.subject)]
    (SWEEPS / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    print(name, len(lines), "rows;", dict(result.best), f"{result.ratio:.3f}", f"{result.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SUBJECTS:
        record(wanted)
