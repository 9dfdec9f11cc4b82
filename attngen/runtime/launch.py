"""The callable that `attngen.compile` returns: checks a call, then takes the way that its tensors need."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from attngen.errors import UnsupportedError
from attngen.language.definition import Definition, Softmax
from attngen.runtime.cache import Cache
from attngen.runtime.kept import Kept
from attngen.runtime.native.way import NativeWay
from attngen.runtime.request import Emitted as Emitted
from attngen.runtime.request import Request as Request
from attngen.runtime.shortcut import call_function
from attngen.runtime.tensors import COMPUTE_DTYPES, NATIVE_DTYPES, Checker, is_native, way_to_run
from attngen.runtime.tiles import tile_lists
from attngen.runtime.triton_way import TritonWay
from attngen.runtime.variant import Call, TileBuilder, Variant, Way

BACKENDS = ("triton", "cpu")
MAX_BOUND = 4096


class Attention:
    """One attention variant, ready to call.

    ``f(q, k, v, *, return_lse=False, out=None, **params_and_tensors)`` with q [B, Hq, M, D] and k, v
    [B or 1, Hkv, N, D] of any strides gives out [B, Hq, M, Dv], and with ``return_lse`` also the
    natural-log lse [B, Hq, M] in fp32 (fp64 for fp64). Other lengths, batch sizes, strides and parameter
    values recompile nothing. What is made from tensors (segment bounds, tile lists) is kept while the same
    tensor objects come unchanged; `forget` drops it when something wrote to them behind torch's back.

    Tensors on a GPU go to Triton. Tensors on the CPU go to native code, unless ``backend`` is "triton" or
    TRITON_INTERPRET=1 asks for Triton's interpreter.
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
        if backend is not None and backend not in BACKENDS:
            raise UnsupportedError(
                f"backend {backend!r}", place="attngen.compile", remedy='use "triton" or "cpu", or leave it out'
            )
        if backend == "triton" and is_native(target):
            raise UnsupportedError(f"backend {backend!r} for the CPU {target!r}", place="attngen.compile",
                                   remedy='use backend="cpu", or a GPU as target')  # fmt: skip
        definition = _definition(spec)
        heads = definition.heads
        captured: Mapping[str, Any] = getattr(spec, "captured", {})
        self.backend = backend
        self._build_tiles: TileBuilder = build_tiles or partial(tile_lists, heads=heads.q, group=heads.group)
        self.variant = Variant(
            spec=spec,
            definition=definition,
            name=getattr(spec, "name", None) or "attention",
            captured=captured,
            target=target,
            emit=emit,
            build_tiles=lambda *args: self._build_tiles(*args),
            kept=Kept(definition, captured),
            cache=cache,
        )
        self._check = Checker(self.variant.name, definition)
        self.has_lse = isinstance(definition.normalizer, Softmax)
        self._ways: dict[str, Way] = {}
        self._bound: dict[Any, Callable[..., Any]] = {}
        self._keyed: frozenset[str] = frozenset(p.name for p in definition.params)

    def __repr__(self) -> str:
        heads, dim = self.definition.heads, self.definition.head_dim
        made = ", ".join(f"{r.dtype} for {r.target}{' (decode)' if r.decode else ''}" for r in self.loaded)
        made = made or "nothing emitted yet"
        return f"<attngen.Attention {self.variant.name}: {heads.q}/{heads.kv} heads of {dim.qk}; {made}>"

    @property
    def spec(self) -> Any:
        return self.variant.spec

    @property
    def name(self) -> str:
        return self.variant.name

    @property
    def definition(self) -> Definition:
        return self.variant.definition

    @property
    def captured(self) -> Mapping[str, Any]:
        return self.variant.captured

    @property
    def loaded(self) -> dict[Request, Any]:
        """The kernels of this process, by what decided their source."""
        return self.variant.loaded

    def __call__(self, q: Any, k: Any, v: Any, *, return_lse: bool = False, out: Any = None, **values: Any) -> Any:
        raise NotImplementedError("each variant has a call of its own, see `shortcut.call_function`")

    def _first(self, key: Any, q: Any, k: Any, v: Any, return_lse: bool, out: Any, values: Mapping[str, Any]) -> Any:
        call, name = self._checked(q, k, v, return_lse, out, values)
        out, lse = call.tensors[3:]
        if call.sizes.batch and call.sizes.m:
            way = self._way(name)
            with self._on_device(q):
                replay = way.run(call, key is not None)
            known = self._keyed
            self._keyed = frozenset().union(*(one.keyed() for one in self._ways.values()))
            if replay is not None and known == self._keyed:
                if len(self._bound) >= MAX_BOUND:
                    self._bound.clear()
                self._bound[key] = replay
        return (out, lse) if return_lse else out

    def _way(self, name: str) -> Way:
        with self.variant.lock:
            if name not in self._ways:
                native = name == "native"
                self._ways[name] = (
                    NativeWay(self.variant) if native else TritonWay(self.variant, interpret=name == "interpret")
                )
            return self._ways[name]

    def _checked(
        self, q: Any, k: Any, v: Any, return_lse: bool, out: Any, values: Mapping[str, Any]
    ) -> tuple[Call, str]:
        """The call, and which way it takes."""
        import torch

        self._check.tensors(q, k, v)
        way = way_to_run(q, self.backend, self.variant.target)
        sizes = self._check.inputs(q, k, v, NATIVE_DTYPES if way == "native" else COMPUTE_DTYPES)
        self._check.no_gradient(q, k, v)
        self._check.names(values, self.captured)
        if return_lse and not self.has_lse:
            raise self._check.fail("return_lse", "a sigmoid has no lse", "leave return_lse out")
        if out is None:
            out = torch.empty_strided(*self.variant.output_layout(q, sizes), dtype=q.dtype, device=q.device)
        else:
            self._check.output(out, q, sizes)
        lse_dtype = torch.float64 if q.dtype == torch.float64 else torch.float32
        lse = torch.empty(self.variant.lse_shape(sizes), dtype=lse_dtype, device=q.device) if return_lse else None
        params = {p.name: self._check.param(p, values[p.name]) for p in self.definition.params}
        named = {}
        for ref in self.definition.tensors:
            given = ref.name in values
            tensor = values[ref.name] if given else self.variant.kept.on(ref.name, q.device)
            if given or tensor is not self.captured[ref.name]:
                self._check.tensor(ref, tensor, sizes, q.device)
            named[ref.name] = tensor
        k, v = (x.expand(sizes.batch, -1, -1, -1) if x.shape[0] != sizes.batch else x for x in (k, v))
        passed = frozenset(ref.name for ref in self.definition.tensors if ref.name in values)
        return Call([q, k, v, out, lse], named, params, passed, sizes), way

    def forget(self) -> None:
        """Drop recorded launches, moved copies and tile lists (not the compiled kernels)."""
        self._bound.clear()
        self.variant.kept.forget()

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
