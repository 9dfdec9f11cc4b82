"""The disassembler of NVIDIA binaries: nvdisasm and cuobjdump lie in the triton wheel."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from attngen.errors import RuntimeMissingError

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
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        done = subprocess.run([tool(name), *options, file.name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeMissingError(
            f"{name} failed ({done.returncode}): {done.stderr.strip()[-300:]}", remedy="check the binary and the wheel"
        )
    return done.stdout + done.stderr


def list_sass(binary: bytes) -> str:
    """The listing with line numbers."""
    return _run("nvdisasm", ("-c", "-g"), binary)


def resource_usage(binary: bytes) -> dict[str, int]:
    """REG, STACK, SHARED and LOCAL of the only function."""
    found = {name: int(value) for name, value in _USAGE.findall(_run("cuobjdump", ("-res-usage",), binary))}
    return {"REG": 0, "STACK": 0, **found}
