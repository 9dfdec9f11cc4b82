"""One decoded machine instruction, whatever the instruction set. `sass` and `amdgcn` make them, `loops` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Category(Enum):
    """What an instruction is for, as the instruction mix of a loop counts it."""

    PRODUCT = "product"
    EXP2 = "exp2"
    SPECIAL = "special"  # the other functions of the exponential's unit: reciprocal, logarithm, tanh, ...
    FLOAT = "float"
    MAXIMUM = "maximum"
    SELECT = "select"  # comparisons and selections, the cost of a mask
    CONVERT = "convert"
    INTEGER = "integer"
    MOVE = "move"
    UNIFORM = "uniform"  # one value a warp: NVIDIA's uniform datapath, AMD's scalar unit
    SHUFFLE = "shuffle"
    SHARED = "shared"
    TENSOR_MEMORY = "tensor memory"
    ASYNC_COPY = "async copy"  # from global to shared memory, past the registers
    LOAD = "load"
    STORE = "store"
    SPILL = "spill"
    PRODUCT_WAIT = "product wait"
    WAIT = "wait"
    BRANCH = "branch"
    NOP = "nop"


class Pipe(Enum):
    """The unit that executes an instruction, as far as a rate is known for it."""

    MATRIX = "matrix"
    EXP = "exp"
    FMA = "fma"
    ALU = "alu"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Instruction:
    """``flops`` is the tensor work that one warp's issue does, or of the block when ``of_block``; None where a
    product's shape could not be read. ``copied_bytes``: what an asynchronous copy brings a warp (0: not encoded).
    ``jump``: index of the instruction that a branch leads to; ``falls``: control may go on to the next one.
    """

    op: str
    args: str
    category: Category
    pipe: Pipe
    line: int = 0
    flops: int | None = 0
    of_block: bool = False
    copied_bytes: int = 0
    jump: int | None = None
    falls: bool = True
