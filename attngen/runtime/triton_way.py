"""Running a variant with Triton: emit and import its source, launch or interpret, record for the next call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from types import ModuleType
from typing import Any

from attngen.planner.decode import DECODE_ROWS
from attngen.runtime.bind import Launched, Params, locate_params, made_by_launcher, read_directly, record
from attngen.runtime.cache import Stored
from attngen.runtime.interpreter import repair
from attngen.runtime.load import load
from attngen.runtime.request import Emitted, Request
from attngen.runtime.tensors import dtype_name, target_of
from attngen.runtime.variant import Call, Variant

INTERPRETED_TARGET = "h100"


@dataclass(slots=True)
class Loaded:
    """An emitted source, imported. ``params`` is known after the first launch."""

    emitted: Emitted
    stored: Stored
    module: ModuleType
    params: Params | None = None


class TritonWay:
    """``interpret``: the kernel runs in Triton's interpreter, which nothing is recorded of."""

    def __init__(self, variant: Variant, interpret: bool) -> None:
        self.variant, self.interpret = variant, interpret
        self._keyed = frozenset(p.name for p in variant.definition.params)

    def keyed(self) -> frozenset[str]:
        return self._keyed

    def request(self, call: Call) -> Request:
        q, variant = call.tensors[0], self.variant
        target = variant.target or (INTERPRETED_TARGET if self.interpret else target_of(q))
        return Request(dtype_name(q), target, variant.definition.heads.group > 1 and call.sizes.m <= DECODE_ROWS)

    def load(self, request: Request) -> Loaded:
        """Emit, store and import the kernel of a request, once."""
        variant = self.variant
        with variant.lock:
            found: Loaded | None = variant.loaded.get(request)
            if found is None:
                repair()
                emitted = variant.emit(request)
                plan = asdict(emitted.plan) if is_dataclass(emitted.plan) else {}
                identity = variant.identity(request, emitted.plan)
                stored = variant.store().put(identity, emitted.text, {"plan": plan})
                found = variant.loaded[request] = Loaded(emitted, stored, load(stored.source, stored.path))
            return found

    def run(self, call: Call, record: bool) -> Callable[..., Any] | None:
        loaded = self.load(self.request(call))
        tiles = self.variant.tile_lists(loaded, loaded.emitted, call) if loaded.module.TILE_LIST else None
        extra = {} if tiles is None else {"tiles": tiles}
        tensors = _distinct(call.tensors)
        named = dict(zip(call.named, _distinct(list(call.named.values()), tensors), strict=True))

        def prepare(params: Mapping[str, Any]) -> Any:
            return loaded.module.prepare(*tensors, **named, **params, **extra)

        kernel, grid, args, constants = prepare(call.params)
        if self.interpret:
            import numpy as np

            with np.errstate(all="ignore"):  # -inf - -inf in a row without keys is handled, not news
                kernel[grid](*args, **constants)
            return None
        compiled = kernel[grid](*args, **constants)
        if not record:
            return None
        if loaded.params is None:
            every = Params({}, frozenset(call.params))  # a tile list may depend on every number
            loaded.params = every if loaded.module.TILE_LIST else locate_params(prepare, call.params)
            before = self._keyed
            kernels = [one for one in self.variant.loaded.values() if isinstance(one, Loaded)]
            self._keyed = frozenset().union(*(one.params.keyed for one in kernels if one.params))
            if self._keyed != before:
                return None  # the key of this call was made with the wrong choice of values
        integers = frozenset(p.name for p in self.variant.definition.params if p.dtype == "int32")
        return self._record(
            Launched(
                compiled, (kernel, grid, args, constants), tensors, named, call.passed, loaded.params, integers
            ),
            call,
        )  # fmt: skip

    def _record(self, launched: Launched, call: Call) -> Callable[..., Any] | None:
        kept, definition = self.variant.kept, self.variant.definition
        copied = call.named.keys() - read_directly(launched)
        sources = kept.sources | copied if made_by_launcher(launched) else frozenset()
        watched = kept.watch(call.named, call.passed, sources)
        if watched is None:
            return None
        names = (*(t.name for t in definition.tensors), *(p.name for p in definition.params))
        layout = self.variant.output_layout(call.tensors[0], call.sizes)
        return record(launched, names, watched, layout, self.variant.lse_shape(call.sizes))


def _distinct(tensors: list[Any], others: list[Any] | None = None) -> list[Any]:
    """The same tensors, no two of them one object, so that a launch can be recorded by identity."""
    seen = {id(tensor) for tensor in others or []}
    answer = []
    for tensor in tensors:
        if tensor is not None and id(tensor) in seen:
            tensor = tensor.detach()
        seen.add(id(tensor))
        answer.append(tensor)
    return answer
