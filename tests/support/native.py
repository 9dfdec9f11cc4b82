"""A C++ kernel called from a test: compiled, loaded by ctypes, one thread, nothing cached."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from attngen import pipeline
from attngen.emit.cpu.interface import Field, Interface, Meaning
from attngen.language.derived import derive
from attngen.pipeline import Generated
from attngen.targets.cpu import COMPILE_FLAGS, CpuTarget, best_cpu, find_cpu
from attngen.tiling import tile_list
from attngen.tiling.call import Call

FOLDER = Path(tempfile.mkdtemp(prefix="attngen-native-"))
TORCH = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32, "fp64": torch.float64}


def features() -> set[str]:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return set(lines[0].split(":")[1].split()) if lines else set()


def this_cpu() -> CpuTarget:
    found = best_cpu(features())
    assert found is not None
    return found


def flags_here(arch: str) -> tuple[str, ...]:
    """What compiles the text of a level to run here. Where the processor lacks the instructions, those of its own
    level: the compiler makes long vectors of short ones, and the text has another way for each instruction it names.
    """
    target = find_cpu(arch)
    assert target is not None
    return (target if set(target.needs) <= features() else this_cpu()).flags


@lru_cache(maxsize=512)
def library(text: str, arch: str, extra: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The file of one level of vectors compiled, and loaded."""
    source = FOLDER / f"{abs(hash((text, arch, extra)))}.cpp"
    source.write_text(text)
    made = source.with_suffix(".so")
    command = [os.environ.get("CXX", "g++"), *COMPILE_FLAGS, *flags_here(arch), *extra, str(source), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    loaded = ctypes.CDLL(str(made))
    for name in ("attngen_items", "attngen_scratch", "attngen_call_bytes", "attngen_shared", "attngen_final_items"):
        if hasattr(loaded, name):
            getattr(loaded, name).restype = ctypes.c_int64
    return loaded


class Native:
    """``f(q, k, v, *, return_lse, out, **values)`` of one emitted variant; ``extra``: more compiler flags."""

    def __init__(self, spec: Any, made: Generated, extra: Sequence[str] = ()) -> None:
        assert made.interface is not None
        self.spec, self.made, self.interface = spec, made, made.interface
        self.backend, self.variant = "native", self  # as `checking` asks
        self.target = made.plan.arch
        self.library = library(made.text, made.plan.arch, tuple(extra))
        assert self.library.attngen_call_bytes() == struct.calcsize(self.interface.format)

    def __call__(self, q: Any, k: Any, v: Any, *, return_lse: bool = False, out: Any = None, **values: Any) -> Any:
        given = dict(getattr(self.spec, "captured", {})) | values
        q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
        k, v = (x.expand(q.shape[0], -1, -1, -1) for x in (k, v))
        shape = (*q.shape[:3], v.shape[-1])
        out = torch.full(shape, torch.nan, dtype=q.dtype) if out is None else out
        lse_type = torch.float64 if q.dtype == torch.float64 else torch.float32
        lse = torch.full(shape[:3], torch.nan, dtype=lse_type) if return_lse else None
        data = {"q": q, "k": k, "v": v, "out": out, "lse": lse}
        self.run(data, q.shape[0], q.shape[2], k.shape[2], given)
        return (out, lse) if return_lse else out

    def run(self, data: Mapping[str, Any], batch: int, m: int, n: int, given: Mapping[str, Any]) -> None:
        packed, self._alive = pack(self.interface, self.made, data, batch, m, n, given)
        buffer = ctypes.create_string_buffer(packed, len(packed))
        call, shared_at = ctypes.addressof(buffer), None
        lib = self.library
        if self.interface.split:
            shared = _aligned(lib.attngen_shared(ctypes.c_void_p(call)))
            index = next(i for i, f in enumerate(self.interface.fields) if f.meaning is Meaning.SHARED)
            struct.pack_into("P", buffer, index * 8, shared.data_ptr())
            shared_at = shared
        scratch = _aligned(lib.attngen_scratch(ctypes.c_void_p(call)))
        at = ctypes.c_void_p(scratch.data_ptr())
        for item in range(lib.attngen_items(ctypes.c_void_p(call))):
            lib.attngen_item(ctypes.c_void_p(call), ctypes.c_int64(item), at)
        if self.interface.split:
            for item in range(lib.attngen_final_items(ctypes.c_void_p(call))):
                lib.attngen_final_item(ctypes.c_void_p(call), ctypes.c_int64(item), at)
        del shared_at


def _aligned(size: int) -> torch.Tensor:
    """Bytes at an address that is a multiple of 64, full of NaN."""
    store = torch.full(((size + 64 + 3) // 4,), torch.nan)
    skip = -store.data_ptr() % 64 // 4
    return store[skip:]


def pack(
    interface: Interface, made: Generated, data: Mapping[str, Any], batch: int, m: int, n: int, given: Mapping[str, Any]
) -> tuple[bytes, Any]:
    """(the bytes of a Call, what must stay alive)."""
    tensors: dict[str, Any] = {}
    numpy = {ref: given[ref.name].numpy() for ref in made.definition.tensors if given[ref.name].dtype != torch.bfloat16}
    for field in interface.fields:
        if field.meaning is Meaning.TENSOR and field.ref is not None:
            if field.ref.derived is None:
                tensors[field.name] = given[field.name]
            else:
                tensors[field.name] = torch.from_numpy(derive(field.ref, numpy, m, n))
    lists: dict[str, Any] = {}
    if interface.tile_list:
        heads = made.definition.heads
        params = {param.name: given[param.name] for param in made.definition.params}
        arrays = {name: x.numpy() for name, x in given.items() if isinstance(x, torch.Tensor)}
        group = heads.group if made.plan.pack > 1 else 1
        built = tile_list.build(made.schedule, Call(m, n, batch, heads.q, params, arrays, group))
        lists = {name: torch.from_numpy(getattr(built, name)) for name in ("offsets", "split", "indices")}
        lists["indices"] = torch.cat([lists["indices"], lists["indices"].new_zeros(1)])  # never null
    lengths = {"B": batch, "M": m, "N": n}
    values = [_value(field, data, tensors, lists, lengths, given) for field in interface.fields]
    return struct.pack(interface.format, *values), (tensors, lists)


def _stride(tensor: Any, dim: int) -> int:
    return 0 if tensor.shape[dim] == 1 else tensor.stride(dim)


def _value(
    field: Field, data: Mapping[str, Any], tensors: Any, lists: Any, lengths: Mapping[str, int], given: Any
) -> Any:
    match field.meaning:
        case Meaning.DATA:
            return data[field.name].data_ptr() if data[field.name] is not None else 0
        case Meaning.TENSOR:
            return tensors[field.name].data_ptr()
        case Meaning.LENGTH:
            return lengths[field.name]
        case Meaning.STRIDE:
            return _stride(tensors[field.name] if field.ref is not None else data[field.name], field.dim)
        case Meaning.SIZE:
            return tensors[field.name].shape[field.dim]
        case Meaning.PARAM:
            return given[field.name]
        case Meaning.TILES:
            return lists[field.name].data_ptr()
        case Meaning.TILES_STRIDE:
            return _stride(lists[field.name], field.dim)
        case Meaning.SHARED:
            return 0


def native(spec: Any, dtype: str, target: str | None = None, **options: Any) -> Native:
    """The kernel of a spec for this machine, or for a lesser ``target``."""
    extra = options.pop("extra", ())
    made = pipeline.generate(spec, target or this_cpu().arch, dtype=dtype, **options)
    return Native(spec, made, extra)
