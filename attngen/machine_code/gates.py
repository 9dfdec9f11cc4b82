"""What a compiled kernel must fulfil, each failure with its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.machine_code.kernel import Kernel
from attngen.machine_code.loops import Loop
from attngen.machine_code.rates import Residency, residency
from attngen.targets.target import Target

MOST_PRODUCTS = 1.05
"""Decoded over needed tensor FLOPs: more means that warps repeat each other's work."""
MOST_PRODUCT_WAITS = 3
"""A loop with more waits for wgmma than this waits after every product."""
LEAST_COPIED = 0.95

_KINDS = {
    "mma": ("HMMA", "QMMA", "IMMA"),
    "wgmma": ("HGMMA", "QGMMA", "IGMMA"),
    "tcgen05": ("UTC",),
    "mfma": ("v_mfma",),
    "wmma": ("v_wmma", "v_swmmac"),
    "fma": (),
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What the plan promised: the kind of its products, blocks a multiprocessor, work and bytes of a key tile."""

    kind: str
    occupancy: int
    tile_flops: int
    tile_bytes: int
    num_warps: int


@dataclass(frozen=True, slots=True)
class Failure:
    """``gate`` is one of spills, shared memory, occupancy, products, kind, waits, copies.

    ``amount``: spill instructions in the loop (0 for other gates).
    """

    gate: str
    text: str
    amount: int = 0

    def __str__(self) -> str:
        return f"{self.gate}: {self.text}"


def failures(
    kernel: Kernel, shared_bytes: int, all_warps: int, expected: Expected, target: Target
) -> tuple[Failure, ...]:
    """Every gate that the kernel does not pass."""
    found = [*_capacity(kernel, shared_bytes, all_warps, expected, target)]
    for loop in kernel.loops:
        if loop.spills:
            text = f"{loop.spills} of {kernel.spills} spill instructions stand in the loop at line {loop.line}"
            found.append(Failure("spills", f"{text} ({kernel.registers} registers a thread)", loop.spills))
        if loop.main:
            if not loop.products and all_warps > expected.num_warps:
                continue  # warps of another partition multiply and copy for this one
            found += [*_products(loop, expected), *_copies(loop, expected, target)]
    return tuple(found)


def _capacity(kernel: Kernel, shared_bytes: int, all_warps: int, expected: Expected, target: Target) -> list[Failure]:
    if shared_bytes > target.smem_per_block:
        return [Failure("shared memory", f"{shared_bytes} B > {target.smem_per_block} B of a block on {target.arch}")]
    resident = residency(target, kernel.registers, all_warps, shared_bytes)
    if resident.blocks < max(1, expected.occupancy):
        return [Failure("occupancy", _occupancy_text(resident, kernel, shared_bytes, all_warps, expected, target))]
    return []


def _occupancy_text(
    resident: Residency, kernel: Kernel, shared_bytes: int, all_warps: int, expected: Expected, target: Target
) -> str:
    threads = all_warps * target.warp_size
    return (
        f"{kernel.registers} registers x {threads} threads let {resident.by_registers} blocks in, "
        f"{shared_bytes} B of {target.smem_per_sm} B {resident.by_shared}; {expected.occupancy} were planned"
    )


def _products(loop: Loop, expected: Expected) -> list[Failure]:
    """The kind, the amount and the waits of a loop's products."""
    if expected.kind == "fma":
        return []
    found = []
    strangers = [op for op in loop.products if not op.startswith(_KINDS[expected.kind])]
    if strangers or not loop.products:
        has = ", ".join(strangers) or "no products"
        found.append(Failure("kind", f"the loop at line {loop.line} has {has}, planned was {expected.kind}"))
    elif loop.decoded and loop.flops > MOST_PRODUCTS * expected.tile_flops:
        ratio = loop.flops / expected.tile_flops
        found.append(
            Failure(
                "products",
                f"the loop at line {loop.line} computes {loop.flops / 1e6:.2f} MFLOP a tile, needed are "
                f"{expected.tile_flops / 1e6:.2f} ({ratio:.2f} > {MOST_PRODUCTS})",
            )
        )
    if loop.product_waits > MOST_PRODUCT_WAITS:
        text = f"{loop.product_waits} waits for {loop.count_products} products in the loop at line {loop.line}"
        found.append(Failure("waits", f"{text} > {MOST_PRODUCT_WAITS}: wgmma is serialised"))
    return found


def _copies(loop: Loop, expected: Expected, target: Target) -> list[Failure]:
    """Key and value tiles must come asynchronously where the target can copy past its registers."""
    if target.vendor != "nvidia":
        return []
    bulk = loop.async_copies and not loop.async_bytes
    if bulk and loop.async_copies >= 2:
        return []
    share = loop.async_bytes / expected.tile_bytes
    if share >= LEAST_COPIED:
        return []
    copies = f"{loop.async_copies} asynchronous copies"
    text = f"{copies} bring {loop.async_bytes} B of the {expected.tile_bytes} B of a tile"
    return [Failure("copies", f"{text} ({share:.2f} < {LEAST_COPIED}) in the loop at line {loop.line}")]
