"""The disassembler of NVIDIA binaries: nvdisasm and cuobjdump lie in the triton wheel."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from attngen.errors import RuntimeMissingError

_FLAGS = 48
"""Offset of e_flags in a 64-bit ELF header; from version 8 of NVIDIA's format its second byte is the architecture."""
_NEW_FORMAT, _FORMAT = 8, 8
_ELDER = {103: 100}
"""Architectures with the instruction encoding of an elder one, which older tools know (Triton 3.6 ships 12.8's)."""
_USAGE = re.compile(r"(REG|STACK|SHARED|LOCAL):(\d+)")


@cache
def tool(name: str) -> Path:
    """Where ``name`` is, without importing triton."""
    spec = importlib.util.find_spec("triton")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "backends" / "nvidia" / "bin" / name
        if path.exists():
            return path
    raise RuntimeMissingError(
        f"{name} is not here: it ships in the triton wheel", remedy="pip install attngen[torch] (Linux)"
    )


def _run(name: str, options: tuple[str, ...], binary: bytes) -> str:
    done = _call(name, options, binary)
    if done.returncode and "architecture" in done.stderr and (elder := as_elder(binary)) is not None:
        done = _call(name, options, elder)
    if done.returncode:
        raise RuntimeMissingError(
            f"{name} failed ({done.returncode}): {done.stderr.strip()[-300:]}", remedy="check the binary and the wheel"
        )
    return done.stdout + done.stderr


def _call(name: str, options: tuple[str, ...], binary: bytes) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        return subprocess.run([tool(name), *options, file.name], capture_output=True, text=True, check=False)


def as_elder(binary: bytes) -> bytes | None:
    """The same code labelled as the elder architecture of its encoding, for reading only; None if there is none."""
    if len(binary) <= _FLAGS + 1 or binary[_FORMAT] < _NEW_FORMAT:
        return None
    elder = _ELDER.get(binary[_FLAGS + 1])
    return None if elder is None else binary[: _FLAGS + 1] + bytes([elder]) + binary[_FLAGS + 2 :]


def list_sass(binary: bytes) -> str:
    """The listing with line numbers."""
    return _run("nvdisasm", ("-c", "-g"), binary)


def resource_usage(binary: bytes) -> dict[str, int]:
    """REG, STACK, SHARED and LOCAL of the only function."""
    found = {name: int(value) for name, value in _USAGE.findall(_run("cuobjdump", ("-res-usage",), binary))}
    return {"REG": 0, "STACK": 0, **found}
