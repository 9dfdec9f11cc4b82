"""Tensors of cases, each a short call that a failure's script can repeat."""

from __future__ import annotations

from typing import Any

Tensor = Any


def _generator(seed: int) -> Any:
    import torch

    return torch.Generator().manual_seed(seed)


def numbers(*shape: int, low: int = 0, high: int, seed: int, dtype: str = "int32") -> Tensor:
    """Integers from low to high - 1."""
    import torch

    return torch.randint(low, max(high, low + 1), shape, generator=_generator(seed)).to(getattr(torch, dtype))


def ids(*shape: int, count: int, seed: int, in_order: bool = True, dtype: str = "int32") -> Tensor:
    """Document ids, as packed ones are, or in no order."""
    drawn = numbers(*shape, high=count, seed=seed, dtype=dtype)
    return drawn.sort(-1).values if in_order else drawn


def boundaries(*shape: int, n: int, seed: int) -> Tensor:
    """cu_seqlens: 0, ..., n; empty documents occur."""
    import torch

    inner = numbers(*shape[:-1], max(shape[-1] - 2, 0), high=n + 1, seed=seed).sort(-1).values
    edge = torch.zeros((*shape[:-1], 1), dtype=torch.int32)
    return torch.cat([edge, inner, edge + n], dim=-1)


def parents(*shape: int, seed: int) -> Tensor:
    """A forest: a parent comes before its children, -1 is a root."""
    import torch

    place = torch.arange(shape[-1])
    drawn = (torch.rand(shape, generator=_generator(seed)) * (place + 1)).long() - 1
    return torch.where(place == 0, -1, drawn).int()


def ancestor_bits(*shape: int, seed: int) -> Tensor:
    """The ancestors of each node of such a forest, itself included, in int32 words [.., M, (M + 31) // 32]."""
    import torch

    m = shape[-1]
    tree = parents(*shape, seed=seed).reshape(-1, m).tolist()
    words = torch.zeros(len(tree), m, (m + 31) // 32, dtype=torch.int64)
    for b, above in enumerate(tree):
        for node in range(m):
            at = node
            while at >= 0:
                words[b, node, at // 32] |= 1 << (at % 32)
                at = above[at]
    signed = torch.where(words >= 2**31, words - 2**32, words).int()
    return signed.reshape(*shape, words.shape[-1])


def flags(*shape: int, share: float = 0.6, seed: int) -> Tensor:
    """Booleans, that share of them true."""
    import torch

    return torch.rand(shape, generator=_generator(seed)) < share


def normal(*shape: int, seed: int, dtype: str = "float32") -> Tensor:
    import torch

    return torch.randn(shape, generator=_generator(seed)).to(getattr(torch, dtype))


def gates(*shape: int, seed: int) -> Tensor:
    """A cumulative log gate: falls along the last dimension."""
    import torch

    return -torch.rand(shape, generator=_generator(seed)).cumsum(-1) * 0.1


MAKERS = {maker.__name__: maker for maker in (numbers, ids, boundaries, parents, ancestor_bits, flags, normal, gates)}
