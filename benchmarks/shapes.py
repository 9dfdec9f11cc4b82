"""Shapes that plans are swept at: those that the cost model is fitted to, and those that it has never seen."""

from __future__ import annotations

from benchmarks.contenders import Problem


def _forward(rows: str) -> tuple[Problem, ...]:
    """mask dtype dim tokens, a line each; fewer heads the longer they are, so that all take a few milliseconds."""
    made = []
    for line in rows.split("\n"):
        if line.strip():
            mask, dtype, dim, n = line.split()
            heads = max(1, 2048 // int(n))
            made.append(Problem(mask, dtype, int(dim), int(n), (heads, heads)))
    return tuple(made)


def _decode(dtype: str, dim: int, keys: int) -> Problem:
    return Problem("full", dtype, dim, keys, (32, 8), 1)


FITTED = (
    *_forward("""
        causal    fp32  64   256
        causal    fp32  64  1024
        causal    fp32 128  4096
        full      fp32  64  1024
        full      fp32 128   256
        window64  fp32  64  4096
        window    fp32 128  4096
        softcap   fp32  64  1024
        causal    bf16  64   256
        causal    bf16 128  4096
        full      bf16  64  1024
        window    bf16  64  1024
        window64  bf16 128  1024
        softcap   bf16 128  1024
    """),
    _decode("fp32", 64, 4096),
    _decode("fp32", 128, 32768),
    _decode("bf16", 64, 32768),
    _decode("bf16", 128, 4096),
)
"""What `make fit-cpu` sees."""
HELD_OUT = (
    *_forward("""
        causal    fp32 128  1024
        causal    fp32  64  4096
        causal    fp32  96  1024
        full      fp32 128  4096
        window64  fp32 128  1024
        window    fp32  64  4096
        softcap   fp32 128  4096
        documents fp32  64  1024
        documents fp32 128  4096
        causal    bf16  64  1024
        full      bf16 128  1024
        window    bf16 128  4096
        softcap   bf16  64  4096
        documents bf16  64  4096
    """),
    _decode("fp32", 64, 32768),
    _decode("fp32", 128, 4096),
    _decode("bf16", 64, 4096),
    _decode("bf16", 128, 32768),
)
"""What it does not see."""
