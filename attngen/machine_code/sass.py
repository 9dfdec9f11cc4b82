"""NVIDIA machine code: the text of nvdisasm as decoded instructions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from attngen.machine_code.instruction import Category, Instruction, Pipe

_INSTRUCTION = re.compile(
    r"/\*(?P<address>[0-9a-f]{4,6})\*/\s+(?P<guard>@!?U?P[T0-9]+)?\s*(?P<op>[A-Z][\w.]*)\s*(?P<args>[^;]*);"
)
_LABEL = re.compile(r"(\.L_[\w.$]+):")
_JUMP = re.compile(r"`\((\.L_[\w.$]+)\)")
_LINE = re.compile(r'"([^"]*)", line (\d+)')
_UNIFORM_GUARD = re.compile(r"!?U?P\d")
_WIDTH = re.compile(r"\.(32|64|128)\b")

_CATEGORIES = {
    Category.FLOAT: "FFMA FMUL FADD FFMA2 FMUL2 FADD2 HADD2 HMUL2 HFMA2",
    Category.MAXIMUM: "FMNMX FMNMX3 HMNMX2 VHMNMX",
    Category.SELECT: "FSEL SEL ISETP FSETP PLOP3 P2R R2P FSET",
    Category.CONVERT: "F2F F2FP I2F F2I I2FP F2IP I2IP FRND",
    Category.MOVE: "MOV CS2R PRMT S2R LDC",
    Category.UNIFORM: "R2UR S2UR REDUX VOTEU VOTE CREDUX",
    Category.SHUFFLE: "SHFL",
    Category.SHARED: "LDS LDSM STS STSM ATOMS",
    Category.TENSOR_MEMORY: "LDTM STTM UTCCP",
    Category.ASYNC_COPY: "LDGSTS UTMALDG UBLKCP",
    Category.LOAD: "LDG LD",
    Category.STORE: "STG ST RED ATOMG ATOM UTMASTG",
    Category.SPILL: "LDL STL",
    Category.WAIT: (
        "BAR WARPGROUP DEPBAR LDGDEPBAR SYNCS WARPSYNC UTCBAR MEMBAR FENCE ARRIVES ERRBAR CCTL ELECT ACQBULK UTMACCTL"
    ),
    Category.BRANCH: "BRA EXIT BSSY BSYNC CALL RET BRX JMP NANOSLEEP YIELD BREAK WARPSYNC",
    Category.NOP: "NOP",
}  # fmt: skip
_CATEGORY_OF = {op: category for category, ops in _CATEGORIES.items() for op in ops.split()}
_FMA_PIPE = frozenset("FFMA FMUL FADD FFMA2 FMUL2 FADD2 IMAD".split())
_NO_PIPE = frozenset("CS2R S2R LDC".split())
_ALU_CATEGORIES = (Category.MAXIMUM, Category.SELECT, Category.CONVERT, Category.INTEGER, Category.MOVE)

_WARP_SHAPES = {"16816": (16, 8, 16), "1688": (16, 8, 8), "1684": (16, 8, 4), "884": (8, 8, 4), "16832": (16, 8, 32),
                "16864": (16, 8, 64)}  # fmt: skip
_WARP_PRODUCT = re.compile(r"[HIQ]MMA\.(?:\w+\.)?(16816|16832|16864|1688|1684|884)\b")
_GROUP_PRODUCT = re.compile(r"[HIQ]GMMA\.(?:SP\.)?(\d+)x(\d+)x(\d+)")
_DESCRIPTOR = re.compile(r"idesc\[(UR\d+)\]")
_TCGEN05_DEPTH = {"UTCHMMA": 16, "UTCQMMA": 32, "UTCIMMA": 32}


@dataclass(frozen=True, slots=True)
class _Raw:
    address: int
    guard: str
    op: str
    args: str
    line: int
    jump: str


def parse_sass(text: str) -> tuple[Instruction, ...]:
    """The instructions of a listing made by ``nvdisasm -c -g``."""
    raw: list[_Raw] = []
    labels: dict[str, int] = {}
    line, kernel_file = 0, ""
    for row in text.splitlines():
        row = row.strip()
        if row.startswith("//## File"):
            places = _LINE.findall(row)
            # the kernel begins in its own file; of code inlined from others the last place there is the kernel's
            kernel_file = kernel_file or (places[-1][0] if places else "")
            line = next((int(number) for file, number in reversed(places) if file == kernel_file), line)
        elif label := _LABEL.match(row):
            labels[label[1]] = len(raw)
        elif found := _INSTRUCTION.search(row):
            target = _JUMP.search(found["args"])
            raw.append(
                _Raw(
                    int(found["address"], 16),
                    found["guard"] or "",
                    found["op"],
                    found["args"].strip(),
                    line,
                    target[1] if target else "",
                )
            )
    return tuple(_decode(raw, i, labels) for i in range(len(raw)))


def _decode(raw: list[_Raw], i: int, labels: Mapping[str, int]) -> Instruction:
    item = raw[i]
    base = item.op.split(".")[0]
    category = categorize(item.op)
    flops, of_block = _flops(raw, i) if category is Category.PRODUCT else (0, False)
    jump, falls = _control(item, base, labels)
    width = _WIDTH.search(item.op)
    return Instruction(
        op=item.op,
        args=item.args,
        category=category,
        pipe=_pipe(base, category),
        line=item.line,
        flops=flops,
        of_block=of_block,
        copied_bytes=int(width[1]) // 8 * 32 if base == "LDGSTS" and width else 0,
        jump=jump,
        falls=falls,
    )


def categorize(op: str) -> Category:
    base = op.split(".")[0]
    if base.endswith("MMA"):
        return Category.PRODUCT
    if base == "MUFU":
        return Category.EXP2 if ".EX2" in op else Category.SPECIAL
    if op.startswith("WARPGROUP.DEPBAR"):
        return Category.PRODUCT_WAIT
    if base in _CATEGORY_OF:
        return _CATEGORY_OF[base]
    # U... works on one value a warp; whatever else is left is integer arithmetic (IADD3, LOP3, LEA, SHF, IMAD, ...)
    return Category.UNIFORM if base.startswith("U") else Category.INTEGER


def _pipe(base: str, category: Category) -> Pipe:
    if category is Category.PRODUCT:
        return Pipe.MATRIX
    if category in (Category.EXP2, Category.SPECIAL):
        return Pipe.EXP
    if base in _FMA_PIPE:
        return Pipe.FMA
    return Pipe.ALU if category in _ALU_CATEGORIES and base not in _NO_PIPE else Pipe.OTHER


def _control(item: _Raw, base: str, labels: Mapping[str, int]) -> tuple[int | None, bool]:
    """Where the instruction may jump to, and whether control may go on."""
    if base not in ("BRA", "JMP", "BRX", "EXIT", "RET"):
        return None, True
    # `@P0 BRA L`, `BRA.U UP0, L` and `BRA.DIV UR4, L` may all be not taken; @PT and @!PT are decided
    guarded = bool(item.guard) and item.guard not in ("@PT", "@UPT")
    conditional = guarded or _UNIFORM_GUARD.match(item.args) is not None or ".DIV" in item.op
    return labels.get(item.jump) if base in ("BRA", "JMP") else None, conditional


def _flops(raw: list[_Raw], i: int) -> tuple[int | None, bool]:
    op = raw[i].op
    if found := _WARP_PRODUCT.match(op):
        rows, columns, depth = _WARP_SHAPES[found[1]]
        return 2 * rows * columns * depth, False
    if found := _GROUP_PRODUCT.match(op):
        rows, columns, depth = map(int, found.groups())
        return 2 * rows * columns * depth // 4, False  # a group of four warps issues it
    if op.startswith("UTC"):
        return _tcgen05_flops(raw, i), True
    return None, False


def _tcgen05_flops(raw: list[_Raw], i: int) -> int | None:
    """tcgen05 takes its shape from a descriptor in a uniform register: read the constant that was last put there.

    Bits 17 to 22 are columns / 8, bits 24 to 28 rows / 16 (PTX ISA, instruction descriptor).
    """
    named = _DESCRIPTOR.search(raw[i].args)
    depth = _TCGEN05_DEPTH.get(raw[i].op.split(".")[0])
    if named is None or depth is None:
        return None
    for item in reversed(raw[:i]):
        register, _, value = item.args.partition(", ")
        if register == named[1] and item.op.startswith("U"):
            if item.op != "UMOV" or not value.startswith("0x"):
                return None
            word = int(value, 16)
            return 2 * (word >> 24 & 31) * 16 * (word >> 17 & 63) * 8 * (depth if ".TF32" not in raw[i].op else 8)
    return None
