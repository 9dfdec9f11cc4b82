"""What one loop of a kernel does in a pass: its instruction mix, tensor work, copies, waits and spills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from attngen.machine_code.flow import natural_loops
from attngen.machine_code.instruction import Category, Instruction, Pipe

_FEW = 4
"""Exponentials below which a loop without products is not one over key tiles."""
_LETTERS = {
    Category.PRODUCT: "M",
    Category.EXP2: "e",
    Category.PRODUCT_WAIT: "W",
    Category.ASYNC_COPY: "c",
    Category.LOAD: "l",
}


@dataclass(frozen=True, slots=True)
class Loop:
    """Counts are instructions of one warp in one pass, work is that of the block.

    ``line``: of the source, where most products and exponentials (or else instructions) come from.

    ``main``: it multiplies or exponentiates tiles and holds no other such loop. ``masked``: as the schedule
    says (None where the loop could not be matched with it). ``order``: products M, exponentials e, waits for
    products W, copies c and loads l, as they follow each other. ``cycles``: a pass, if one pipe alone were the limit.
    """

    line: int
    slots: int
    mix: tuple[tuple[str, int], ...]
    pipes: tuple[tuple[str, int], ...]
    products: tuple[str, ...]
    flops: int
    decoded: bool
    spills: int
    async_copies: int
    async_bytes: int
    product_waits: int
    waits: int
    order: str
    main: bool
    masked: bool | None = None
    cycles: tuple[tuple[str, float], ...] = ()
    slots_per_kflop: float | None = None

    def count(self, category: Category) -> int:
        return dict(self.mix).get(category.value, 0)

    @property
    def count_products(self) -> int:
        return self.count(Category.PRODUCT)


def read_loops(code: Sequence[Instruction], num_warps: int) -> tuple[Loop, ...]:
    """The loops that work on tiles, load them, or spill, in the order of the code."""
    found = natural_loops(code)
    bodies = [[code[i] for i in loop.body] for loop in found]
    heavy = [_works(body) for body in bodies]
    loops = []
    for i, loop in enumerate(found):
        around = any(
            heavy[j] and loop.depth < other.depth and set(other.body) < set(loop.body) for j, other in enumerate(found)
        )
        read = _read(bodies[i], num_warps, heavy[i] and not around)
        if read.main or read.spills or read.async_copies:
            loops.append(read)
    return tuple(loops)


def _works(body: Sequence[Instruction]) -> bool:
    mix = Counter(item.category for item in body)
    return mix[Category.PRODUCT] > 0 or mix[Category.EXP2] >= _FEW


def _read(body: Sequence[Instruction], num_warps: int, main: bool) -> Loop:
    mix = Counter(item.category for item in body)
    pipes = Counter(item.pipe for item in body if item.category is not Category.NOP)
    products = [item for item in body if item.category is Category.PRODUCT]
    flops = sum((item.flops or 0) * (1 if item.of_block else num_warps) for item in products)
    copies = [item for item in body if item.category is Category.ASYNC_COPY]
    return Loop(
        line=_line(body),
        slots=len(body) - mix[Category.NOP],
        mix=tuple((category.value, n) for category, n in mix.most_common()),
        pipes=tuple((pipe.value, pipes[pipe]) for pipe in Pipe if pipes[pipe]),
        products=tuple(sorted({item.op for item in products})),
        flops=flops,
        decoded=bool(products) and all(item.flops is not None for item in products),
        spills=mix[Category.SPILL],
        async_copies=len(copies),
        async_bytes=sum(item.copied_bytes for item in copies) * num_warps,
        product_waits=mix[Category.PRODUCT_WAIT],
        waits=mix[Category.PRODUCT_WAIT] + mix[Category.WAIT],
        order=_order(body),
        main=main,
    )


def _line(body: Sequence[Instruction]) -> int:
    # optimised code carries lines of helpers and of what was moved, but the work of a tile stays in its loop
    worked = [item.line for item in body if item.category in (Category.PRODUCT, Category.EXP2)]
    return Counter(worked or [item.line for item in body]).most_common(1)[0][0]


def _order(body: Sequence[Instruction]) -> str:
    """``M8 W e66 M4``: eight products, a wait, 66 exponentials, four products."""
    runs: list[tuple[str, int]] = []
    for item in body:
        letter = _LETTERS.get(item.category)
        if letter is None:
            continue
        if runs and runs[-1][0] == letter:
            runs[-1] = (letter, runs[-1][1] + 1)
        else:
            runs.append((letter, 1))
    return " ".join(f"{letter}{n if n > 1 else ''}" for letter, n in runs)
