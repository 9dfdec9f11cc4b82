"""The callable that `attngen.compile` returns: checks a call, emits and loads a kernel when new, launches."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import partial
from types import ModuleType
from typing import Any

from attngen.errors import UnsupportedError
from attngen.language.definition import Definition, Softmax
from attngen.runtime.bind import Launched, Params, locate_params, made_by_launcher, read_directly, record
from attngen.runtime.cache import Cache, Stored, default_root, shared_cache
from attngen.runtime.interpreter import repair
from attngen.runtime.kept import Kept
from attngen.runtime.load import load
from attngen.runtime.request import Emitted as Emitted
from attngen.runtime.request import Request as Request
from attngen.runtime.shortcut import call_function
from attngen.runtime.tensors import Checker, Sizes, dtype_name, target_of, way_to_run
from attngen.runtime.tiles import tile_lists

TileBuilder = Callable[[Emitted, Sizes, Mapping[str, Any], Mapping[str, Any]], Sequence[Any]]
"""(emitted, lengths, parameters, named tensors) -> (offsets, split, indices), int32 tensors on any device."""

INTERPRETED_TARGET = "h100"
DECODE_ROWS = 16
"""Up to this many queries a head, a GQA kernel packs the heads of a group into one tile."""
MAX_BOUND = 4096


@dataclass(slots=True)
class Loaded:
    """An emitted source, imported. ``params`` is known after the first launch."""

    emitted: Emitted
    stored: Stored
    module: ModuleType
    params: Params | None = None


@dataclass(slots=True)
class _Call:
    """One call, checked: tensors on the device, numbers converted."""

    tensors: list[Any]
    named: dict[str, Any]
    params: dict[str, Any]
    passed: frozenset[str]
    sizes: Sizes


class Attention:
    """One attention variant, ready to call.

    ``f(q, k, v, *, return_lse=False, out=None, **params_and_tensors)`` with q [B, Hq, M, D] and k, v
    [B or 1, Hkv, N, D] of any strides gives out [B, Hq, M, Dv], and with ``return_lse`` also the
    natural-log lse [B, Hq, M] in fp32. Other lengths, batch sizes, strides and parameter values
    recompile nothing. What is made from tensors (segment bounds, tile lists) is kept while the same
    tensor objects come unchanged; `forget` drops it when something wrote to them behind torch's back.
    """

    def __new__(cls, spec: Any, *args: Any, **options: Any) -> Attention:
        names = _names(_definition(spec))
        return object.__new__(_with_call(cls, *names))

    def __init__(
        self,
        spec: Any,
        emit: Callable[[Request], Emitted],
        *,
        backend: str | None = None,
        target: str | None = None,
        cache: Cache | None = None,
        build_tiles: TileBuilder | None = None,
    ) -> None:
        if backend not in (None, "triton"):
            raise UnsupportedError(
                f"backend {backend!r}", place="attngen.compile", remedy='use "triton", or leave it out'
            )
        self.spec = spec
        self.definition = _definition(spec)
        self.name: str = getattr(spec, "name", None) or "attention"
        self.captured: Mapping[str, Any] = getattr(spec, "captured", {})
        self.target, self.cache = target, cache
        self.loaded: dict[Request, Loaded] = {}
        self._emit = emit
        heads = self.definition.heads
        self._build_tiles = build_tiles or partial(tile_lists, heads=heads.q, group=heads.group)
        self._check = Checker(self.name, self.definition)
        self._has_lse = isinstance(self.definition.normalizer, Softmax)
        self._kept = Kept(self.definition, self.captured)
        self._bound: dict[Any, Callable[..., Any]] = {}
        self._keyed: frozenset[str] = frozenset(p.name for p in self.definition.params)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        heads, dim = self.definition.heads, self.definition.head_dim
        made = ", ".join(f"{r.dtype} for {r.target}{' (decode)' if r.decode else ''}" for r in self.loaded)
        return (
            f"<attngen.Attention {self.name}: {heads.q}/{heads.kv} heads of {dim.qk}; {made or 'nothing emitted yet'}>"
        )

    def __call__(self, q: Any, k: Any, v: Any, *, return_lse: bool = False, out: Any = None, **values: Any) -> Any:
        raise NotImplementedError("each variant has a call of its own, see `shortcut.call_function`")

    def _first(self, key: Any, q: Any, k: Any, v: Any, return_lse: bool, out: Any, values: Mapping[str, Any]) -> Any:
        call = self._checked(q, k, v, return_lse, out, values)
        out, lse = call.tensors[3:]
        if call.sizes.batch and call.sizes.m:
            way = way_to_run(q)
            with self._on_device(q):
                self._run(key, call, self.load(self._request(q, call.sizes, way)), way)
        return (out, lse) if return_lse else out

    def _checked(self, q: Any, k: Any, v: Any, return_lse: bool, out: Any, values: Mapping[str, Any]) -> _Call:
        import torch

        sizes = self._check.inputs(q, k, v)
        self._check.no_gradient(q, k, v)
        self._check.names(values, self.captured)
        if return_lse and not self._has_lse:
            raise self._check.fail("return_lse", "a sigmoid has no lse", "leave return_lse out")
        if out is None:
            out = torch.empty_strided(*self._output_layout(q, sizes), dtype=q.dtype, device=q.device)
        else:
            self._check.output(out, q, sizes)
        lse = torch.empty(self._lse_shape(sizes), dtype=torch.float32, device=q.device) if return_lse else None
        params = {p.name: self._check.param(p, values[p.name]) for p in self.definition.params}
        named = {}
        for ref in self.definition.tensors:
            given = ref.name in values
            tensor = values[ref.name] if given else self._kept.on(ref.name, q.device)
            if given or tensor is not self.captured[ref.name]:
                self._check.tensor(ref, tensor, sizes, q.device)
            named[ref.name] = tensor
        k, v = (x.expand(sizes.batch, -1, -1, -1) if x.shape[0] != sizes.batch else x for x in (k, v))
        passed = frozenset(ref.name for ref in self.definition.tensors if ref.name in values)
        return _Call([q, k, v, out, lse], named, params, passed, sizes)

    def _output_layout(self, q: Any, sizes: Sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """out's shape, and strides in the order of q's: [B, M, H, D] storage in gives [B, M, H, Dv] storage out."""
        shape = (sizes.batch, self.definition.heads.q, sizes.m, self.definition.head_dim.v)
        order = sorted(range(3), key=lambda dim: (q.stride(dim), -dim))
        strides, step = [0, 0, 0, 1], shape[3]
        for dim in order:
            strides[dim] = step
            step *= max(shape[dim], 1)
        return shape, tuple(strides)

    def _lse_shape(self, sizes: Sizes) -> tuple[int, int, int]:
        return sizes.batch, self.definition.heads.q, sizes.m

    def _request(self, q: Any, sizes: Sizes, way: str) -> Request:
        target = self.target or (target_of(q) if way == "launch" else INTERPRETED_TARGET)
        return Request(dtype_name(q), target, self.definition.heads.group > 1 and sizes.m <= DECODE_ROWS)

    def load(self, request: Request) -> Loaded:
        """Emit, store and import the kernel of a request, once."""
        with self._lock:
            found = self.loaded.get(request)
            if found is None:
                repair()
                emitted = self._emit(request)
                self.cache = self.cache or shared_cache(default_root())
                identity = {
                    "spec": getattr(self.spec, "fingerprint", repr(self.definition)),
                    "names": f"{self.name}: {', '.join(ref.name for ref in self.definition.tensors)}",
                    "plan": repr(emitted.plan),
                    "request": f"{request.dtype} {request.target} {'decode' if request.decode else 'prefill'}",
                }
                plan = asdict(emitted.plan) if is_dataclass(emitted.plan) else {}
                stored = self.cache.put(identity, emitted.source, {"plan": plan})
                found = self.loaded[request] = Loaded(emitted, stored, load(stored.source, stored.path))
            return found

    def _run(self, key: Any, call: _Call, loaded: Loaded, way: str) -> None:
        extra = {"tiles": self._tile_lists(loaded, call)} if loaded.module.TILE_LIST else {}
        tensors = _distinct(call.tensors)
        named = dict(zip(call.named, _distinct(list(call.named.values()), tensors), strict=True))

        def prepare(params: Mapping[str, Any]) -> Any:
            return loaded.module.prepare(*tensors, **named, **params, **extra)

        kernel, grid, args, constants = prepare(call.params)
        if way == "interpret":
            import numpy as np

            with np.errstate(all="ignore"):  # -inf - -inf in a row without keys is handled, not news
                kernel[grid](*args, **constants)
            return
        compiled = kernel[grid](*args, **constants)
        if key is None:
            return
        if loaded.params is None:
            every = Params({}, frozenset(call.params))  # a tile list may depend on every number
            loaded.params = every if loaded.module.TILE_LIST else locate_params(prepare, call.params)
            before, known = self._keyed, (one.params.keyed for one in self.loaded.values() if one.params)
            self._keyed = frozenset().union(*known)
            if self._keyed != before:
                return  # the key of this call was made with the wrong choice of values
        integers = frozenset(p.name for p in self.definition.params if p.dtype == "int32")
        launched = Launched(
            compiled, (kernel, grid, args, constants), tensors, named, call.passed, loaded.params, integers
        )  # fmt: skip
        copied = call.named.keys() - read_directly(launched)
        sources = self._kept.sources | copied if made_by_launcher(launched) else frozenset()
        watched = self._kept.watch(call.named, call.passed, sources)
        if watched is None:
            return
        params, names = _names(self.definition)
        layout, lse_shape = self._output_layout(call.tensors[0], call.sizes), self._lse_shape(call.sizes)
        replay = record(launched, (*names, *params), watched, layout, lse_shape)
        if replay is None:
            return
        if len(self._bound) >= MAX_BOUND:
            self._bound.clear()
        self._bound[key] = replay

    def _tile_lists(self, loaded: Loaded, call: _Call) -> tuple[Any, ...]:
        device = call.tensors[0].device
        # a captured tensor must be told from one that replaces it: which were passed is part of the key
        key = (id(loaded), call.sizes, tuple(call.params.items()), call.passed, device)

        def build() -> Sequence[Any]:
            return self._build_tiles(loaded.emitted, call.sizes, call.params, call.named)

        return self._kept.tile_lists(key, call.named, call.passed, device, build)

    def forget(self) -> None:
        """Drop recorded launches, moved copies and tile lists (not the compiled kernels)."""
        self._bound.clear()
        self._kept.forget()

    @staticmethod
    def _on_device(q: Any) -> contextlib.AbstractContextManager[Any]:
        import torch

        return torch.cuda.device(q.device) if q.device.type == "cuda" else contextlib.nullcontext()


def _definition(spec: Any) -> Definition:
    return spec if isinstance(spec, Definition) else spec.definition


def _names(definition: Definition) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(p.name for p in definition.params), tuple(t.name for t in definition.tensors)


_classes: dict[Any, type[Attention]] = {}


def _with_call(cls: type[Attention], params: tuple[str, ...], tensors: tuple[str, ...]) -> type[Attention]:
    """The class with ``__call__`` written for these names."""
    key = (cls, params, tensors)
    if key not in _classes:
        body = {"__call__": call_function(params, tensors), "__doc__": cls.__doc__, "__module__": cls.__module__}
        _classes[key] = type(cls.__name__, (cls,), body)
    return _classes[key]


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
