"""Each gate fails for its reason, with its numbers, and passes otherwise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attngen.machine_code.gates import Expected, failures
from attngen.machine_code.kernel import Kernel
from attngen.machine_code.loops import Loop
from attngen.machine_code.rates import residency, with_rates
from attngen.targets.load import find_target

H100 = find_target("sm_90")
LOOP = Loop(
    line=121,
    slots=444,
    mix=(("float", 168), ("exp2", 66), ("uniform", 59), ("product", 12), ("product wait", 1)),
    pipes=(("matrix", 12), ("exp", 66), ("fma", 175), ("alu", 107)),
    products=("HGMMA.64x128x16.F32.BF16",),
    flops=4194304,
    decoded=True,
    spills=0,
    async_copies=2,
    async_bytes=0,
    product_waits=1,
    waits=12,
    order="M4 W e66 M8 c2",
    main=True,
)
KERNEL = Kernel(registers=157, spills=0, spill_bytes=0, instructions=1968, loops=(LOOP,))
EXPECTED = Expected(kind="wgmma", occupancy=1, tile_flops=4194304, tile_bytes=32768, num_warps=8)


def gate(kernel: Kernel = KERNEL, shared: int = 82944, expected: Expected = EXPECTED) -> list[str]:
    return [str(failure) for failure in failures(kernel, shared, 8, expected, H100)]


def with_loop(**changes: object) -> Kernel:
    return replace(KERNEL, loops=(replace(LOOP, **changes),))  # type: ignore[arg-type]


def test_a_good_kernel_passes() -> None:
    assert gate() == []


@pytest.mark.parametrize(
    ("changes", "name", "numbers"),
    [
        ({"spills": 3}, "spills", ["3 of", "line 121", "157"]),
        ({"flops": 6291456}, "products", ["6.29", "4.19", "1.50 > 1.05"]),
        ({"product_waits": 24}, "waits", ["24 waits for 12 products", "> 3"]),
        ({"products": ("HMMA.16816.F32.BF16",)}, "kind", ["HMMA.16816.F32.BF16", "planned was wgmma"]),
        ({"products": ()}, "kind", ["no products"]),
        ({"async_copies": 1}, "copies", ["1 asynchronous copies bring 0 B of the 32768 B"]),
        ({"async_copies": 8, "async_bytes": 16384}, "copies", ["16384 B of the 32768 B", "0.50 < 0.95"]),
    ],
)
def test_a_loop_that_fails(changes: dict[str, object], name: str, numbers: list[str]) -> None:
    (text,) = gate(with_loop(**changes))
    assert text.startswith(f"{name}: ")
    for number in numbers:
        assert number in text


def test_shared_memory_and_occupancy() -> None:
    (text,) = gate(shared=240000)
    assert text == "shared memory: 240000 B > 232448 B of a block on sm_90"
    (text,) = gate(expected=replace(EXPECTED, occupancy=2))
    assert text.startswith("occupancy: 157 registers x 256 threads let 1 blocks in, 82944 B of 233472 B 2; 2 were")


def test_products_on_fma_units_have_no_kind() -> None:
    assert gate(with_loop(products=(), flops=0, decoded=False), expected=replace(EXPECTED, kind="fma")) == []


@pytest.mark.parametrize(
    ("target", "registers", "warps", "shared", "blocks"),
    [
        ("sm_80", 255, 4, 32768, 2),
        ("sm_80", 128, 4, 70000, 2),
        ("sm_80", 128, 8, 0, 2),
        ("sm_90", 168, 4, 0, 3),
        ("sm_90", 157, 8, 82944, 1),
        ("sm_86", 255, 4, 110000, 0),
        ("gfx942", 220, 4, 16384, 2),
        ("gfx942", 512, 4, 0, 1),
    ],
)
def test_residency(target: str, registers: int, warps: int, shared: int, blocks: int) -> None:
    assert residency(find_target(target), registers, warps, shared).blocks == blocks


def test_cycles_and_slots() -> None:
    loop = with_rates(LOOP, H100, 8, "bf16", 0)
    cycles = dict(loop.cycles)
    assert cycles["matrix"] == 4194304 / 4096
    assert cycles["exp"] == 66 * 256 / 16
    assert cycles["issue"] == 444 * 8 / 4
    assert loop.cycles[0][0] == "exp"
    assert loop.slots_per_kflop == pytest.approx(444 * 8 / 4194.304)


def test_where_the_shape_is_hidden_the_tile_counts_on_tcgen05_alone() -> None:
    hidden = replace(LOOP, decoded=False, flops=0)
    assert with_rates(hidden, find_target("sm_100"), 8, "bf16", 4194304).flops == 4194304
    assert with_rates(hidden, H100, 8, "bf16", 4194304).slots_per_kflop is None
