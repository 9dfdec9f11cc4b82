"""The target of the GPU that torch runs on. torch is imported here and only when asked."""

from __future__ import annotations

from typing import Any

from attngen.errors import RuntimeMissingError, TargetError
from attngen.targets.load import load_architectures, load_targets
from attngen.targets.target import Target


def match_device(device_name: str, arch: str) -> Target:
    """The row for a device that the driver calls ``device_name`` with architecture ``arch``.

    By name, else by architecture; never a guess across architectures. Devices of one architecture
    share every limit that decides whether a plan fits, so the fallback is safe, and only its
    speed estimates may be off.
    """
    rows = [target for target in load_targets() if target.arch == arch]
    name = device_name.lower()
    exact = [target for target in rows if name in (known.lower() for known in target.device_names)]
    if exact:
        return exact[0]
    # MIG slices and board variants append words to the name ("NVIDIA H200 MIG 1g.18gb")
    near = [
        (len(known), target) for target in rows for known in target.device_names if name.startswith(known.lower() + " ")
    ]
    if near:
        return max(near, key=lambda pair: pair[0])[1]
    common = load_architectures().get(arch)
    for target in rows:
        if target.name == common:
            return target
    raise TargetError(
        f"the GPU `{device_name}` ({arch}) is not in the target table",
        remedy=f"name a target whose limits it shares (`target=...`); architectures: {', '.join(load_architectures())}",
    )


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise RuntimeMissingError(
            "torch is not installed, so no GPU can be found",
            remedy="pip install attngen[torch], or name a target",
        ) from error
    return torch


def device_arch(index: int = 0) -> tuple[str, str]:
    """What torch says of GPU ``index``: its name and architecture (`sm_90`, `gfx942`)."""
    torch = _torch()
    if not torch.cuda.is_available():
        raise RuntimeMissingError(
            "torch sees no GPU", remedy='name a target (`target="h100"`), or run on a machine that has one'
        )
    properties = torch.cuda.get_device_properties(index)
    if torch.version.hip:
        # "gfx942:sramecc+:xnack-" carries feature flags after the colon
        return str(properties.name), str(properties.gcnArchName).split(":")[0]
    return str(properties.name), f"sm_{properties.major}{properties.minor}"


def probe_target(index: int = 0) -> Target:
    """The target of GPU ``index`` as torch counts them."""
    return match_device(*device_arch(index))


def device_name() -> str:
    """What torch calls the first GPU of this machine; "" where it sees none."""
    try:
        return device_arch()[0]
    except RuntimeMissingError:
        return ""
