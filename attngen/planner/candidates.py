"""The space of plans: head chunks, packing, tile sizes, warps and stages. Nothing here judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from attngen.errors import PlanError
from attngen.language.definition import Blocks
from attngen.planner.problem import Problem
from attngen.targets.target import Target

BLOCK_M = (16, 32, 64, 128)
BLOCK_N = (16, 32, 64, 128)
WARPS = (1, 2, 4, 8)
STAGES = (1, 2, 3, 4)
MIN_CHUNK = 16
"""tl.dot takes no operand dimension below 16."""
MAX_CHUNK = 256
CHUNK_COST = 8
"""Columns of padding that cost as much as one more dot a tile: its own loads, pointers and fragments."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One point of the space. The fields are those of Plan that a person may choose."""

    block_m: int
    block_n: int
    num_warps: int
    num_stages: int
    pack: int
    chunks_qk: tuple[int, ...]
    chunks_v: tuple[int, ...]
    descriptors: bool

    @property
    def grain(self) -> int:
        """Keys that loops begin and end at multiples of: those of a tile."""
        return self.block_n

    def __str__(self) -> str:
        loads = "descriptors" if self.descriptors else "pointers"
        pack = f", pack {self.pack}" if self.pack > 1 else ""
        warps = "1 warp" if self.num_warps == 1 else f"{self.num_warps} warps"
        stages = "1 stage" if self.num_stages == 1 else f"{self.num_stages} stages"
        return f"{self.block_m}x{self.block_n}, {warps}, {stages}, {loads}{pack}"


def next_power_of_two(value: int) -> int:
    return 1 << max(0, value - 1).bit_length()


def is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@lru_cache(maxsize=256)
def head_chunks(dim: int) -> tuple[int, ...]:
    """Powers of two, each at least 16, that cover ``dim`` columns at the least cost.

    The cost is the padded width plus `CHUNK_COST` for each chunk after the first, so 96 is (64, 32),
    80 is (64, 16), and 112 is (128,): (64, 32, 16) would save nothing that two more dots do not spend.
    """
    if dim <= 0:
        raise PlanError(f"a head dimension of {dim} has no chunks", remedy="head dimensions are positive")
    return _cover(dim, MAX_CHUNK)[1]


def _cover(dim: int, largest: int) -> tuple[int, tuple[int, ...]]:
    """(cost, chunks) of the cheapest cover by powers of two up to ``largest``, in descending order."""
    options: list[tuple[int, tuple[int, ...]]] = []
    size = MIN_CHUNK
    while size <= largest:
        if size >= dim:
            options.append((size, (size,)))
            break
        cost, rest = _cover(dim - size, size)
        options.append((size + CHUNK_COST + cost, (size, *rest)))
        size *= 2
    # at equal cost the fewer chunks
    return min(options, key=lambda option: (option[0], len(option[1])))


def describe_chunks(dim: int, what: str) -> str:
    """Why ``dim`` is cut as it is, with the cost in padded columns."""
    chunks = head_chunks(dim)
    width, padded = sum(chunks), next_power_of_two(max(dim, MIN_CHUNK))
    text = f"{what} {dim} = {' + '.join(map(str, chunks))}"
    if width > dim:
        text += f" with {width - dim} padded columns ({100 * (width - dim) / dim:.0f} % more multiply work)"
    if len(chunks) > 1:
        text += f": {len(chunks)} dots of {width} columns instead of one of {padded}"
    return text


def candidates(problem: Problem, target: Target, fixed: Mapping[str, int] | None = None) -> Iterator[Candidate]:
    """Every point of the space for this problem, cheap to enumerate (a few hundred).

    ``fixed`` holds fields of Candidate that a person chose; the rest stays free.
    """
    fixed = fixed or {}
    head_dim, blocks = problem.definition.head_dim, problem.blocks or Blocks()
    pack = fixed.get("pack", problem.pack)
    rows = _block_ms(problem, pack) if blocks.q is None else (blocks.q * pack,)
    axes = {
        "block_m": rows,
        "block_n": BLOCK_N if blocks.kv is None else (blocks.kv,),
        "num_warps": WARPS,
        "num_stages": STAGES,
    }
    axes.update({name: (fixed[name],) for name in axes if name in fixed})
    for block_m, block_n, warps, stages in product(*axes.values()):
        yield Candidate(
            block_m=block_m,
            block_n=block_n,
            num_warps=warps,
            num_stages=stages,
            pack=pack,
            chunks_qk=head_chunks(head_dim.qk),
            chunks_v=head_chunks(head_dim.v),
            descriptors=bool(fixed.get("descriptors", wants_descriptors(problem, target, block_m))),
        )


def _block_ms(problem: Problem, pack: int) -> tuple[int, ...]:
    """Row counts worth trying: all for long queries, for few queries no more than hold them."""
    if problem.seqlen_q is None:
        return BLOCK_M
    enough = max(BLOCK_M[0], next_power_of_two(problem.seqlen_q * pack))
    return tuple(size for size in BLOCK_M if pack <= size <= enough)


def wants_descriptors(problem: Problem, target: Target, block_m: int) -> bool:
    """Descriptors feed wgmma and tcgen05; the mma.sync path loads by pointers (descriptors there spill)."""
    head_dim = problem.definition.head_dim
    # a descriptor needs 16-byte strides, so rows of whole 16 bytes
    aligned = all(dim * problem.element_bytes % 16 == 0 for dim in (head_dim.qk, head_dim.v))
    fed = target.mma in ("wgmma", "tcgen05") and block_m >= 64 and problem.tensor_cores
    return target.tensor_descriptors and fed and aligned
