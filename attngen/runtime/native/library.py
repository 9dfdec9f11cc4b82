"""An emitted file, compiled and loaded: its functions, and running them on the pool's threads."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from attngen.emit.cpu.interface import Interface, Meaning
from attngen.errors import CallError, CompilerError
from attngen.runtime.cache import Cache
from attngen.runtime.native.compiler import Compiler
from attngen.runtime.native.store import library
from attngen.targets.cpu import CpuTarget

Run = Callable[[bytes, int], int]
"""(packed `Call`, threads) -> 0, or 1 when there was no memory. The GIL is released meanwhile."""

_POOL = Path(__file__).with_name("pool.cpp")
_lock = threading.Lock()


def load_library(path: Path) -> ctypes.CDLL:
    """The library of a file; one that only this process has (nothing is kept on disk) is deleted at once."""
    try:
        return ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        raise CompilerError(
            f"a library that was compiled cannot be loaded: {error}",
            place=str(path),
            remedy="where the directory may not hold programs (noexec), set ATTNGEN_CACHE_DIR to one that may",
        ) from error
    finally:
        if path.parent.name.startswith("attngen-"):
            with contextlib.suppress(OSError):
                for name in ("kernel.so", "kernel.cpp"):
                    (path.parent / name).unlink()
                path.parent.rmdir()


@cache
def _pool_text() -> str:
    return _POOL.read_text(encoding="utf-8")


_pools: dict[bool, ctypes.CDLL] = {}


def pool(cache: Cache, compiler: Compiler, target: CpuTarget, *, sanitize: bool = False) -> ctypes.CDLL:
    """The pool of threads: one a process, whatever kernels there are."""
    with _lock:
        if sanitize not in _pools:
            built = library(cache, _pool_text(), compiler, target, "the thread pool", sanitize=sanitize)
            loaded = load_library(built.path)
            loaded.attngen_pool_run.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
            loaded.attngen_pool_run.restype = ctypes.c_int
            loaded.attngen_pool_workers.restype = ctypes.c_int
            _pools[sanitize] = loaded
        return _pools[sanitize]


def runner(kernel: ctypes.CDLL, interface: Interface, threads: ctypes.CDLL) -> Run:
    """What runs this kernel. AssertionError where file and interface do not fit: a bug in attngen."""
    shared = next((i for i, field in enumerate(interface.fields) if field.meaning is Meaning.SHARED), 0)
    return runner_of(kernel, threads, struct.calcsize(interface.format), shared, split=interface.split)


def runner_of(kernel: ctypes.CDLL, threads: ctypes.CDLL, call_bytes: int, shared: int, *, split: bool) -> Run:
    """The same from the figures of an interface: the size of a `Call`, and the number of its member ``shared``."""
    kernel.attngen_call_bytes.restype = ctypes.c_int64
    size = kernel.attngen_call_bytes()
    assert size == call_bytes, f"the emitted Call has {size} bytes, its interface {call_bytes}"
    names = ["attngen_items", "attngen_scratch", "attngen_item"]
    names += ["attngen_shared", "attngen_final_items", "attngen_final_item"] * split
    functions = [ctypes.cast(getattr(kernel, name), ctypes.c_void_p).value or 0 for name in names]
    packed = struct.pack("6P4q", *functions, *[0] * (6 - len(functions)), size, 8 * shared, 0, 0)
    table = ctypes.create_string_buffer(packed, len(packed))  # the pool keeps figures of its own in it
    run = threads.attngen_pool_run

    def with_table(call: bytes, count: int) -> int:
        return run(table, call, count)  # type: ignore[no-any-return]

    with_table.kernel = kernel  # type: ignore[attr-defined]  # what the table points into stays loaded
    return with_table


def finish(failed: int) -> None:
    """What a run answers, as an error where it is one."""
    if failed:
        raise CallError("no memory for scratch space", remedy="fewer threads: torch.set_num_threads(n)")
