"""AMD machine code: the assembly text that Triton writes, as decoded instructions."""

from __future__ import annotations

import re
from dataclasses import dataclass

from attngen.machine_code.instruction import Category, Instruction, Pipe

_LABEL = re.compile(r"(\.LBB\w+):")
_INSTRUCTION = re.compile(r"([a-z][a-z0-9_]+)(?:\s+(.*))?$")
_LINE = re.compile(r"\.loc\s+(\d+)\s+(\d+)")
_PRODUCT = re.compile(r"v_(?:s?w?mf?mac?|mfma|wmma)\w*?_(\d+)x(\d+)x(\d+)_?(?:(\d+)b_)?")
_CONDITIONAL = tuple(f"s_cbranch_{kind}" for kind in "scc0 scc1 vccz vccnz execz execnz".split())
_ENDS = ("s_branch", "s_endpgm", "s_setpc_b64", "s_trap")
_FIELD = re.compile(r"^\s*\.(\w+):\s+(\d+)\s*$", re.MULTILINE)

# the first prefix that fits decides
_PREFIXES: tuple[tuple[str | tuple[str, ...], Category], ...] = (
    ("v_exp_", Category.EXP2),
    (("v_rcp_", "v_rsq_", "v_sqrt_", "v_log_", "v_sin_", "v_cos_"), Category.SPECIAL),
    (("v_cmp", "v_cndmask"), Category.SELECT),
    (("v_max", "v_min", "v_med3_f"), Category.MAXIMUM),
    ("v_cvt_", Category.CONVERT),
    (("v_readlane", "v_writelane", "v_readfirstlane", "v_permlane", "ds_bpermute", "ds_swizzle", "ds_permute"),
     Category.SHUFFLE),
    (("v_mov", "v_accvgpr", "v_swap"), Category.MOVE),
    ("scratch_", Category.SPILL),
    ("ds_", Category.SHARED),
    (("global_load_lds", "buffer_load_lds"), Category.ASYNC_COPY),
    (("global_load", "buffer_load", "flat_load"), Category.LOAD),
    (("global_", "buffer_", "flat_"), Category.STORE),
    (("s_waitcnt", "s_barrier", "s_sleep", "s_wait_"), Category.WAIT),
    (("s_branch", "s_cbranch", "s_endpgm", "s_setpc"), Category.BRANCH),
    (("s_nop", "s_setprio", "s_delay_alu"), Category.NOP),
    ("s_", Category.UNIFORM),
)  # fmt: skip
_FLOAT = re.compile(r"v_(?:pk_|dual_)?(?:fma|fmac|fmamk|fmaak|mul|add|sub|subrev|mad|mac|ldexp)\w*_f\d\d")


@dataclass(frozen=True, slots=True)
class Footer:
    """What the assembler says of the whole kernel. ``spilled``: vector registers that were spilled."""

    vgprs: int
    sgprs: int
    spilled: int
    stack_bytes: int


def parse_amdgcn(text: str) -> tuple[Instruction, ...]:
    """The instructions of the kernel, without the sections after it."""
    rows: list[tuple[str, str, int]] = []
    labels: dict[str, int] = {}
    line, kernel_file = 0, ""
    for row in text.splitlines():
        row = row.split(";")[0].rstrip()
        if row.startswith(".Lfunc_end"):
            break
        if label := _LABEL.match(row):
            labels[label[1]] = len(rows)
        elif row.startswith("\t") and not row.startswith("\t."):
            if found := _INSTRUCTION.match(row.strip()):
                rows.append((found[1], found[2] or "", line))
        elif found := _LINE.search(row):
            # the kernel begins in its own file; what is inlined from others keeps the line that it stands on
            kernel_file = kernel_file or found[1]
            if found[1] == kernel_file and found[2] != "0":
                line = int(found[2])
    return tuple(_decode(op, args, line, labels) for op, args, line in rows)


def parse_footer(text: str) -> Footer:
    fields = {name: int(value) for name, value in _FIELD.findall(text)}
    return Footer(
        fields.get("vgpr_count", 0),
        fields.get("sgpr_count", 0),
        fields.get("vgpr_spill_count", 0),
        fields.get("private_segment_fixed_size", 0),
    )


def _decode(op: str, args: str, line: int, labels: dict[str, int]) -> Instruction:
    category = categorize(op, args)
    jump = labels.get(args.strip()) if op in ("s_branch", *_CONDITIONAL) else None
    return Instruction(
        op=op,
        args=args,
        category=category,
        pipe=_pipe(op, category),
        line=line,
        flops=_flops(op) if category is Category.PRODUCT else 0,
        jump=jump,
        falls=op not in _ENDS,
    )


def categorize(op: str, args: str = "") -> Category:
    if op.startswith(("v_mfma", "v_wmma", "v_smfmac", "v_swmmac")):
        return Category.PRODUCT
    if op.startswith("buffer_load") and args.rstrip().endswith("lds"):
        return Category.ASYNC_COPY
    for prefix, category in _PREFIXES:
        if op.startswith(prefix):
            return category
    return Category.FLOAT if _FLOAT.match(op) else Category.INTEGER


def _pipe(op: str, category: Category) -> Pipe:
    if category is Category.PRODUCT:
        return Pipe.MATRIX
    if category in (Category.EXP2, Category.SPECIAL):
        return Pipe.EXP
    # one vector unit does all other arithmetic
    return Pipe.ALU if op.startswith("v_") else Pipe.OTHER


def _flops(op: str) -> int | None:
    found = _PRODUCT.match(op)
    if found is None:
        return None
    rows, columns, depth, blocks = (int(group or 1) for group in found.groups())
    return 2 * rows * columns * depth * blocks
