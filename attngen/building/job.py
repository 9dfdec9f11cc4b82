"""What a worker is asked and what it answers, as values that pass through JSON."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from attngen.building.signature import KernelArgument
from attngen.errors import RuntimeMissingError
from attngen.targets.target import Target

KERNEL = "attention_forward"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One kernel for one architecture. Equal jobs give equal binaries: their digest addresses the cache."""

    source: str
    kernel: str
    arguments: tuple[KernelArgument, ...]
    constants: tuple[tuple[str, int], ...]
    backend: str
    arch: str
    warp_size: int
    num_warps: int
    num_stages: int
    triton: str

    def digest(self) -> str:
        return hashlib.sha256(json.dumps([FORMAT, asdict(self)], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the compiler gave. ``assembly``: AMD's text; NVIDIA's is read from the binary when it is wanted."""

    binary: bytes
    assembly: str
    shared_bytes: int
    num_warps: int
    tensor_memory: int = 0
    seconds: float = field(default=0.0, compare=False)

    def to_record(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "binary": base64.b64encode(zlib.compress(self.binary)).decode("ascii"),
            "assembly": base64.b64encode(zlib.compress(self.assembly.encode())).decode("ascii"),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Compiled:
        binary = zlib.decompress(base64.b64decode(record["binary"]))
        assembly = zlib.decompress(base64.b64decode(record["assembly"])).decode()
        return cls(**{**record, "binary": binary, "assembly": assembly})


def backend_of(target: Target) -> str:
    return "hip" if target.vendor == "amd" else "cuda"


def triton_version() -> str:
    """The version that workers will import, found without importing it."""
    try:
        return importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError as error:
        raise RuntimeMissingError(
            "triton is not installed, so nothing can be compiled", remedy="pip install attngen[torch]"
        ) from error
