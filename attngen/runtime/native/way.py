"""Running a variant natively: emit C++, compile, load, call; and record the call for the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from attngen.emit.cpu.interface import Interface
from attngen.planner.decode import DECODE_ROWS
from attngen.runtime.cache import Stored
from attngen.runtime.native.compiler import Compiler, find_compiler
from attngen.runtime.native.derived import derived_tensors
from attngen.runtime.native.isa import detect
from attngen.runtime.native.library import Run, finish, load_library, pool, runner
from attngen.runtime.native.pack import Packed, check_needs, pack
from attngen.runtime.native.replay import replay_of
from attngen.runtime.native.sanitize import sanitizing
from attngen.runtime.native.store import library
from attngen.runtime.request import Emitted, Request
from attngen.runtime.tensors import dtype_name
from attngen.runtime.variant import Call, Variant
from attngen.targets.cpu import CpuTarget


@dataclass(slots=True)
class Loaded:
    """An emitted source, compiled and loaded. ``seconds``: what the compiler took, 0 for a stored library."""

    emitted: Emitted
    stored: Stored
    interface: Interface
    run: Run
    compiler: Compiler
    seconds: float


class NativeWay:
    """Runs on the threads of attngen's own pool, as many as torch.get_num_threads() says."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.cpu: CpuTarget = detect(variant.target)

    def keyed(self) -> frozenset[str]:
        """Numbers are passed on; but a list of tiles may depend on every one of them."""
        lists = any(isinstance(one, Loaded) and one.interface.tile_list for one in self.variant.loaded.values())
        return frozenset(p.name for p in self.variant.definition.params) if lists else frozenset()

    def request(self, call: Call) -> Request:
        """Few queries take the kernel of decoding whatever the group: a tile of queries would be mostly empty."""
        return Request(dtype_name(call.tensors[0]), self.cpu.arch, call.sizes.m <= DECODE_ROWS)

    def load(self, request: Request) -> Loaded:
        """Emit, compile and load the kernel of a request, once."""
        with self.variant.lock:
            found: Loaded | None = self.variant.loaded.get(request)
            if found is None:
                found = self.variant.loaded[request] = self._build(request)
            return found

    def _build(self, request: Request) -> Loaded:
        variant, compiler = self.variant, find_compiler()
        cache, sanitize = variant.store(), sanitizing()
        # the pool is compiled beside the first kernel of a machine, not before it
        beside = threading.Thread(target=_quietly, args=(lambda: pool(cache, compiler, self.cpu, sanitize=sanitize),))
        beside.start()
        try:
            emitted = variant.emit(request)
            assert emitted.interface is not None, "the pipeline answers a CPU's request with an interface"
            stored = self._kept(request, emitted)
            built = library(cache, stored.source, compiler, self.cpu, variant.name, sanitize=sanitize)
        finally:
            beside.join()
        threads = pool(cache, compiler, self.cpu, sanitize=sanitize)
        run = runner(load_library(built.path), emitted.interface, threads)
        return Loaded(emitted, stored, emitted.interface, run, compiler, built.seconds)

    def _kept(self, request: Request, emitted: Emitted) -> Stored:
        """The text that an earlier process stored, else rendered now: it is as trusted as the library made of it."""
        identity = {**self.variant.identity(request, emitted.plan), "origin": emitted.origin}
        store = self.variant.store()
        found = store.get(identity) if emitted.origin else None
        return found or store.put(identity, emitted.text, suffix=".cpp")

    def run(self, call: Call, record: bool) -> Callable[..., Any] | None:
        import torch

        loaded = self.load(self.request(call))
        q, k, v, out, lse = call.tensors
        # rows of contiguous elements are read where they lie; any other tensor is copied for the call
        q, k, v = given = [x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous() for x in (q, k, v)]
        written = out if out.stride(-1) == 1 or out.shape[-1] == 1 else torch.empty_like(out).contiguous()
        copied = written is not out or any(mine is not x for mine, x in zip(given, call.tensors, strict=False))
        packed = packed_call(self.variant, loaded.emitted, (*given, written, lse), call)
        finish(loaded.run(packed.bytes(), torch.get_num_threads()))
        if written is not out:
            out.copy_(written)
        if not record or copied:
            return None
        return self._record(loaded, packed, call)

    def _record(self, loaded: Loaded, packed: Packed, call: Call) -> Callable[..., Any] | None:
        variant = self.variant
        sources = variant.kept.sources if packed.made else frozenset()
        watched = variant.kept.watch(call.named, call.passed, sources)
        if watched is None:
            return None
        return replay_of(variant, loaded.run, packed, call, watched)


def packed_call(variant: Variant, emitted: Emitted, data: Sequence[Any], call: Call) -> Packed:
    """The bytes of a `Call`. ``data``: q, k, v, out and lse as the kernel reads them, rows contiguous."""
    interface = emitted.interface
    assert interface is not None, "a native kernel has an interface"
    tables = derived_tensors(interface, variant.kept, call)
    check_needs(variant.name, interface, tables, call.sizes, variant.definition.heads)
    tiles = variant.tile_lists(emitted, emitted, call) if interface.tile_list else ()
    return pack(interface, data, tables, tiles, call)


def _quietly(action: Callable[[], object]) -> None:
    """An error here comes again when the result is asked for."""
    try:
        action()
    except Exception:
        return
