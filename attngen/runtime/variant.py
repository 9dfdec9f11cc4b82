"""What every way of running a variant shares: the variant itself, and one call of it after the checks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from attngen.language.definition import Definition
from attngen.runtime.cache import Cache, default_root, shared_cache
from attngen.runtime.kept import Kept
from attngen.runtime.request import Emitted, Request
from attngen.runtime.tensors import Sizes

TileBuilder = Callable[[Emitted, Sizes, Mapping[str, Any], Mapping[str, Any]], Sequence[Any]]
"""(emitted, lengths, parameters, named tensors) -> (offsets, split, indices), int32 tensors on any device."""


@dataclass(slots=True)
class Call:
    """One call, checked: tensors on the device, numbers converted."""

    tensors: list[Any]
    """q, k, v, out, lse (None when it is not wanted); k and v have q's batch size"""
    named: dict[str, Any]
    params: dict[str, Any]
    passed: frozenset[str]
    """names of tensors that came with the call (the others are captured)"""
    sizes: Sizes


@dataclass(slots=True)
class Variant:
    """One attention variant. ``loaded``: its kernels of this process, by what decided their source."""

    spec: Any
    definition: Definition
    name: str
    captured: Mapping[str, Any]
    target: str | None
    emit: Callable[[Request], Emitted]
    build_tiles: TileBuilder
    kept: Kept
    cache: Cache | None = None
    loaded: dict[Request, Any] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def store(self) -> Cache:
        """The store of sources, opened when first needed."""
        self.cache = self.cache or shared_cache(default_root())
        return self.cache

    def identity(self, request: Request, plan: object) -> dict[str, str]:
        """The caller's part of what a source depends on."""
        return {
            "spec": getattr(self.spec, "fingerprint", repr(self.definition)),
            "names": f"{self.name}: {', '.join(ref.name for ref in self.definition.tensors)}",
            "plan": repr(plan),
            "request": f"{request.dtype} {request.target} {'decode' if request.decode else 'prefill'}",
        }

    def tile_lists(self, loaded: object, emitted: Emitted, call: Call) -> tuple[Any, ...]:
        """(offsets, split, indices) on the device of the call, made once while nothing changes."""
        device = call.tensors[0].device
        # a captured tensor must be told from one that replaces it: which were passed is part of the key
        key = (id(loaded), call.sizes, tuple(call.params.items()), call.passed, device)

        def build() -> Sequence[Any]:
            return self.build_tiles(emitted, call.sizes, call.params, call.named)

        return self.kept.tile_lists(key, call.named, call.passed, device, build)

    def output_layout(self, q: Any, sizes: Sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """out's shape, and strides in the order of q's: [B, M, H, D] storage in gives [B, M, H, Dv] storage out."""
        shape = (sizes.batch, self.definition.heads.q, sizes.m, self.definition.head_dim.v)
        order = sorted(range(3), key=lambda dim: (q.stride(dim), -dim))
        strides, step = [0, 0, 0, 1], shape[3]
        for dim in order:
            strides[dim] = step
            step *= max(shape[dim], 1)
        return shape, tuple(strides)

    def lse_shape(self, sizes: Sizes) -> tuple[int, int, int]:
        return sizes.batch, self.definition.heads.q, sizes.m


class Way(Protocol):
    """A way to run kernels: Triton, or native code."""

    def run(self, call: Call, record: bool) -> Callable[..., Any] | None:
        """Computes into the call's out and lse. With ``record``, what does the same for another call of the
        same shapes, strides and dtypes: ``replay(q, k, v, out, *tensors, *params)``, or None when it cannot be
        had. A replay gives None when that call must take the long way."""
        ...

    def keyed(self) -> frozenset[str]:
        """Parameters whose values decide what is recorded."""
        ...
