"""The target table: read once, found by name, alias or architecture."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from functools import lru_cache
from importlib import resources
from typing import Any

from attngen.errors import TargetError, did_you_mean
from attngen.targets.target import Target


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("attngen.targets").joinpath("targets.toml").read_text(encoding="utf-8"))


def _frozen(value: Any) -> Any:
    """TOML arrays and tables as tuples, so that a Target is hashable."""
    if isinstance(value, dict):
        return tuple((str(key), _frozen(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value


def _target(row: dict[str, Any]) -> Target:
    known = {field.name for field in fields(Target)}
    unknown = set(row) - known
    if unknown:
        raise TargetError(f"unknown key `{min(unknown)}`", place=f"targets.toml, {row.get('name')}")
    return Target(**{key: _frozen(value) for key, value in row.items()})


@lru_cache(maxsize=1)
def load_targets() -> tuple[Target, ...]:
    """Every known device, in the order of the table."""
    return tuple(_target(row) for row in _table()["target"])


@lru_cache(maxsize=1)
def load_sources() -> dict[str, str]:
    """What the source keys of a target stand for."""
    return {str(key): str(text) for key, text in _table()["sources"].items()}


@lru_cache(maxsize=1)
def load_architectures() -> dict[str, str]:
    """Architecture name -> name of its common device."""
    return {str(arch): str(name) for arch, name in _table()["architectures"].items()}


def _plain(name: str) -> str:
    """Names compare without case and separators: `RTX-4090`, `rtx 4090` and `rtx4090` are one."""
    return "".join(char for char in name.lower() if char.isalnum())


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Target]:
    found: dict[str, Target] = {}
    rows = load_targets()
    for target in rows:
        for name in (target.name, *target.aliases):
            found.setdefault(_plain(name), target)
    names = {target.name: target for target in rows}
    for arch, device in load_architectures().items():
        found[_plain(arch)] = names[device]
    return found


def find_target(name: str | Target) -> Target:
    """The target called ``name``: a device (`h100`), or an architecture (`sm_90`) for its common device."""
    if isinstance(name, Target):
        return name
    target = _by_name().get(_plain(name)) if isinstance(name, str) else None
    if target is None:
        known = [target.aliases[0] if target.aliases else target.name for target in load_targets()]
        raise TargetError(
            f"unknown target `{str(name)[:80]}`: {did_you_mean(str(name), [*known, *load_architectures()])}",
            place="target",
            remedy=f"devices: {', '.join(known)}; architectures: {', '.join(load_architectures())}",
        )
    return target
