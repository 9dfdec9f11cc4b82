"""Random inputs for a spec: q, k, v, and a fitting value for every declared tensor and parameter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from attngen.checking.poison import poisoned
from attngen.expr.op import TensorRef, tensors
from attngen.language.definition import Definition
from attngen.oracle import definition_of

TORCH = {
    "fp64": torch.float64, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16,
    "int32": torch.int32, "int64": torch.int64, "bool": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """The arguments of one call: ``f(case.q, case.k, case.v, **case.values)``."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    values: Mapping[str, Any]
    dtype: str

    def on(self, device: str, layout: str) -> Case:
        """The same numbers on another device, q, k and v in ``layout`` with NaN around them there as well."""
        q, k, v = (poisoned(x.to(device), layout) for x in (self.q, self.k, self.v))
        values = {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in self.values.items()}
        return Case(q, k, v, values, self.dtype)


def build(
    spec: Any,
    batch: int,
    m: int,
    n: int,
    dtype: str = "fp32",
    seed: int = 0,
    *,
    values: Mapping[str, Any] | None = None,
    layout: str = "contiguous",
    kv_batch: int | None = None,
    magnitude: float = 1.0,
) -> Case:
    """Random arguments; ``values`` fixes some by name.

    ``layout``: one of `poison.LAYOUTS`, and the memory around the tensors is NaN in each. ``kv_batch`` 1
    broadcasts keys and values. ``magnitude`` multiplies q: 30 makes logits of some hundreds.
    """
    definition = definition_of(spec)
    generator = torch.Generator().manual_seed(seed)
    heads, dim = definition.heads, definition.head_dim

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(TORCH[dtype])  # fp64 as well: the draws stay the same

    kv = kv_batch or batch
    q = (normal(batch, heads.q, m, dim.qk).double() * magnitude).to(TORCH[dtype])
    k, v = normal(kv, heads.kv, n, dim.qk), normal(kv, heads.kv, n, dim.v)
    captured = set(getattr(spec, "captured", {})) - set(values or {})
    given = arguments(definition, batch, m, n, generator, values or {}, captured)
    return Case(poisoned(q, layout), poisoned(k, layout), poisoned(v, layout), given, dtype)


def arguments(
    definition: Definition,
    batch: int,
    m: int,
    n: int,
    generator: torch.Generator,
    values: Mapping[str, Any],
    captured: Collection[str] = (),
) -> dict[str, Any]:
    """``values``, and a random one for every other parameter and tensor that is not ``captured``."""
    given = dict(values)
    for param in definition.params:
        if param.name not in given:
            low = int(torch.randint(1, max(2, n), (1,), generator=generator))
            given[param.name] = low if param.dtype == "int32" else 0.5 + float(torch.rand(1, generator=generator))
    roles = _roles(definition)
    for ref in definition.tensors:
        if ref.name not in given and ref.name not in captured:
            given[ref.name] = _tensor(ref, roles.get(ref, ""), definition, batch, m, n, generator)
    return given


def _roles(definition: Definition) -> dict[TensorRef, str]:
    """Which recipe reads a tensor: that is what its numbers mean."""
    roles: dict[TensorRef, str] = {}
    stack = list(tensors(definition.mask, definition.score))
    while stack:
        ref = stack.pop()
        if ref.derived is not None:
            stack += ref.derived.sources
            roles |= dict.fromkeys(ref.derived.sources, ref.derived.recipe)
    return roles


def _tensor(
    ref: TensorRef, role: str, definition: Definition, batch: int, m: int, n: int, generator: torch.Generator
) -> torch.Tensor:
    letters = {"B": batch, "H": definition.heads.q, "Hkv": definition.heads.kv, "M": m, "N": n, None: 5}
    shape = tuple(dim if isinstance(dim, int) else letters[dim] for dim in ref.shape)
    if role == "segment_ids":  # cumulative lengths, from 0 to N
        inner = torch.randint(0, n + 1, (*shape[:-1], max(shape[-1] - 2, 0)), generator=generator).sort(-1).values
        edge = torch.zeros((*shape[:-1], 1), dtype=torch.int64)
        return torch.cat([edge, inner, edge + n], dim=-1).to(TORCH[ref.dtype])
    if role == "tree_ancestors":  # a parent comes before its children; -1 is a root
        below = torch.arange(shape[-1]).clamp(min=1)
        parents = (torch.rand(shape, generator=generator) * (below + 1)).long() - 1
        return torch.where(torch.arange(shape[-1]) == 0, -1, parents).to(TORCH[ref.dtype])
    if ref.dtype == "bool":
        return torch.rand(shape, generator=generator) < 0.6
    if ref.dtype in ("int32", "int64"):
        limit = n if role == "index_flags" else max(2, n // 8)
        numbers = torch.randint(0, max(limit, 1), shape, generator=generator)
        # whole numbers along N are segment ids more often than not, and those are sorted
        numbers = numbers.sort(-1).values if ref.shape and ref.shape[-1] == "N" else numbers
        return numbers.to(TORCH[ref.dtype])
    return torch.randn(shape, generator=generator).to(TORCH[ref.dtype])
