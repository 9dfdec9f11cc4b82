"""What stands at the end of a dry run: it takes what a launch takes, refuses what a launch would refuse, and stops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

GRID = (2**31 - 1, 65535, 65535)
"""Blocks of a launch at most, of CUDA; HIP allows no fewer."""
RUN_ARGUMENTS = 9
"""What the driver's launch takes before a kernel's own arguments: grid, stream, function, metadata and hooks."""


class StubKernel:
    """A compiled kernel without the compiler: binds the arguments to the signature of the ``real`` one."""

    def __init__(self, real: Any, launches: list[tuple[int, ...]]) -> None:
        self._real, self._launches = real, launches
        self.params, self.arg_names = real.params, real.arg_names
        self.function, self.packed_metadata = 0, ()

    def __getitem__(self, grid: Sequence[int]) -> Any:
        def launch(*args: Any, num_warps: int, num_stages: int, **constants: Any) -> StubKernel:
            assert num_warps in (1, 2, 4, 8, 16), num_warps
            assert num_stages >= 1, num_stages
            self._real.signature.bind(*args, **constants)
            self._reach(grid, args)
            return self

        return launch

    def run(self, x: int, y: int, z: int, *args: Any) -> None:
        """The driver's launch, as a recorded call uses it: constants are passed as well."""
        assert len(args) == RUN_ARGUMENTS - 3 + len(self.arg_names), (len(args), self.arg_names)
        self._reach((x, y, z), args[RUN_ARGUMENTS - 3 :])

    def _reach(self, grid: Sequence[int], args: Sequence[Any]) -> None:
        blocks = (*grid, 1, 1)[:3]
        assert all(1 <= size <= most for size, most in zip(blocks, GRID, strict=True)), grid
        for arg in args:
            assert arg is None or isinstance(arg, (torch.Tensor, int, float)), type(arg)
            assert not isinstance(arg, int) or -(2**63) <= arg < 2**63, arg
        self._launches.append(tuple(blocks))


class StubEvent:
    """Of a clock that does not run."""

    def record(self) -> None: ...

    def elapsed_time(self, end: StubEvent) -> float:
        del end
        return math.nan


def stub_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
    """Stands for SDPA, compiled FlexAttention and FlashAttention: what they return, of zeros."""
    del rest, options
    assert q.dim() == 4 and k.shape == v.shape and q.shape[-1] == k.shape[-1], (q.shape, k.shape, v.shape)
    return torch.zeros((*q.shape[:3], v.shape[-1]), dtype=q.dtype)


def stub_varlen(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **options: Any) -> torch.Tensor:
    """Stands for FlashAttention's function for packed sequences."""
    assert q.dim() == 3 and k.shape == v.shape, (q.shape, k.shape, v.shape)
    for name in ("cu_seqlens_q", "cu_seqlens_k"):
        assert options[name].dtype is torch.int32, name
        assert int(options[name][-1]) == q.shape[0], name
    return torch.zeros((*q.shape[:2], v.shape[-1]), dtype=q.dtype)
