"""What `attngen doctor --probe` measured of this machine, kept beside the libraries for the planner."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from attngen.errors import RuntimeMissingError
from attngen.runtime.cache import default_root, read_own, shared_cache, write_whole
from attngen.runtime.native.machine import Machine, measure, processor
from attngen.targets.cpu import CoreRates, CpuTarget

FOLDER = "machine"
_FASTEST = 1e6
"""GFLOP/s or GB/s of a core: what is beyond is no measurement."""


def probe(target: CpuTarget) -> Machine:
    """Measure one core, in a few seconds, and keep the rates. RuntimeMissingError where nothing can be kept."""
    machine = measure(target.arch)
    folder = shared_cache(default_root()).folder(FOLDER)
    if folder is None:
        raise RuntimeMissingError(
            "the rates of this machine cannot be kept",
            place=str(default_root()),
            remedy="name a directory of your own: export ATTNGEN_CACHE_DIR=DIR",
        )
    write_whole(_file(folder, target), json.dumps(asdict(machine), indent=1).encode())
    return machine


def stored_rates(target: CpuTarget) -> CoreRates | None:
    """The rates that were kept for this level of vectors; None where there are none, or those of another machine."""
    text = read_own(_file(default_root() / FOLDER, target))
    if text is None:
        return None
    try:
        found = json.loads(text)
        names = (found["processor"], found["arch"])
        fma, dot, read = (found[name] for name in ("fma_gflops", "dot_gflops", "read_gbps"))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if names != (processor(), target.arch) or not (_is_rate(fma) and _is_rate(read)):
        return None
    if target.dot_bf16 != _is_rate(dot):
        return None
    return CoreRates(float(fma), float(dot), float(read), f"measured on {names[0]}")


def _file(folder: Path, target: CpuTarget) -> Path:
    return folder / f"{target.arch}.json"


def _is_rate(value: object) -> bool:
    return type(value) in (int, float) and isinstance(value, (int, float)) and 0 < value < _FASTEST
