"""An emitted C++ file for AArch64, cross-compiled and run by qemu: one process a call, tensors through a file."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from attngen import pipeline
from attngen.pipeline import Generated
from attngen.targets.cpu import COMPILE_FLAGS, find_cpu
from tests.support.native import Native, pack

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"
FOLDER = Path(tempfile.mkdtemp(prefix="attngen-aarch64-"))
MAIN = """
#include <stdio.h>
#include <stdlib.h>
static int64_t number(FILE *file) {{
  int64_t value = 0;
  if (fread(&value, 8, 1, file) != 1) exit(3);
  return value;
}}
static char *aligned(int64_t bytes) {{ return (char *)aligned_alloc(64, (bytes + 127) / 64 * 64); }}
int main(int, char **names) {{
  FILE *file = fopen(names[1], "r+b");
  int64_t bytes = number(file), count = number(file);
  if (bytes != attngen_call_bytes()) return 4;
  char *call = aligned(bytes), *buffers[64];
  int64_t sizes[64], places[64];
  if ((int64_t)fread(call, 1, bytes, file) != bytes) return 3;
  for (int64_t i = 0; i < count; i++) {{
    sizes[i] = number(file);
    places[i] = ftell(file);
    buffers[i] = aligned(sizes[i]);
    if ((int64_t)fread(buffers[i], 1, sizes[i], file) != sizes[i]) return 3;
  }}
  for (int64_t left = number(file); left > 0; left--) {{
    int64_t member = number(file), buffer = number(file);
    char *address = buffers[buffer] + number(file);
    memcpy(call + member, &address, 8);
  }}
  const Call *given = (const Call *)call;
  {shared}
  char *scratch = aligned(attngen_scratch(given));
  for (int64_t i = 0; i < attngen_items(given); i++) attngen_item(given, i, scratch);
  {final}
  for (int64_t i = 0; i < count; i++) {{
    fseek(file, places[i], SEEK_SET);
    if ((int64_t)fwrite(buffers[i], 1, sizes[i], file) != sizes[i]) return 5;
  }}
  return fclose(file);
}}
"""


def available() -> bool:
    return all(map(shutil.which, (COMPILER, EMULATOR)))


@lru_cache(maxsize=64)
def program(text: str, shared_at: int | None) -> Path:
    """The file with a `main`; ``shared_at``: where `Call` has the address of partial results."""
    target = find_cpu("neon")
    assert target is not None
    shared = final = ""
    if shared_at is not None:
        shared = f"char *parts = aligned(attngen_shared(given)); memcpy(call + {shared_at}, &parts, 8);"
        final = "for (int64_t i = 0; i < attngen_final_items(given); i++) attngen_final_item(given, i, scratch);"
    source = FOLDER / f"{len(list(FOLDER.glob('*.cpp')))}.cpp"
    source.write_text(f"#include <string.h>\n{text}{MAIN.format(shared=shared, final=final)}")
    flags = [flag for flag in COMPILE_FLAGS if flag not in ("-shared", "-fPIC")]
    command = [COMPILER, *flags, *target.flags, "-static", str(source), "-o", str(source.with_suffix(""))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return source.with_suffix("")


class Emulated(Native):
    """As `Native`, for a processor that this machine has not."""

    def __init__(self, spec: Any, made: Generated) -> None:
        assert made.interface is not None
        self.spec, self.made, self.interface = spec, made, made.interface
        self.backend, self.variant, self.target = "native", self, made.plan.arch

    def run(self, data: Mapping[str, Any], batch: int, m: int, n: int, given: Mapping[str, Any]) -> None:
        call, (tensors, lists) = pack(self.interface, self.made, data, batch, m, n, given)
        owners = [x for group in (data, tensors, lists) for x in group.values() if x is not None]
        stores = list({x.untyped_storage().data_ptr(): x.untyped_storage() for x in owners}.values())
        where = [(store.data_ptr(), store.data_ptr() + store.nbytes()) for store in stores]
        addresses, shared_at = [], None
        for index, field in enumerate(self.interface.fields):
            (value,) = struct.unpack_from("q", call, 8 * index)
            if field.meaning.name == "SHARED":
                shared_at = 8 * index
            elif field.letter == "P" and value:
                buffer = next(i for i, (first, last) in enumerate(where) if first <= value < last)
                addresses.append((8 * index, buffer, value - where[buffer][0]))
        handle, name = tempfile.mkstemp(dir=FOLDER)
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("qq", len(call), len(stores)) + call)
            for store in stores:
                file.write(struct.pack("q", store.nbytes()) + ctypes.string_at(store.data_ptr(), store.nbytes()))
            file.write(struct.pack("q", len(addresses)) + b"".join(struct.pack("qqq", *one) for one in addresses))
        done = subprocess.run(
            [EMULATOR, str(program(self.made.text, shared_at)), name], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{EMULATOR} ended with {done.returncode}: {done.stderr}"
        text, at = Path(name).read_bytes(), 16 + len(call)
        for store in stores:
            ctypes.memmove(store.data_ptr(), text[at + 8 :][: store.nbytes()], store.nbytes())
            at += 8 + store.nbytes()
        Path(name).unlink()


def emulated(spec: Any, dtype: str, **options: Any) -> Emulated:
    return Emulated(spec, pipeline.generate(spec, "neon", dtype=dtype, **options))
