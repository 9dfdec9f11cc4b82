"""The comment that opens an emitted C++ file: what it computes, where it comes from, how to compile it."""

from __future__ import annotations

from attngen.emit.header import facts_text
from attngen.emit.triton import Origin
from attngen.language.definition import Definition
from attngen.planner.cpu import CpuPlan
from attngen.targets.cpu import COMPILE_FLAGS, find_cpu


def comment(origin: Origin, definition: Definition, plan: CpuPlan) -> str:
    """Lines of //, so that no text of a user can end it early."""
    target = find_cpu(plan.arch)
    text = facts_text(origin.name, origin.doc, definition, plan.dtype, _cut(plan), origin.command, origin.dtype_assumed)
    text += "".join(f"\n{line}" for line in ("", *origin.remarks)) if origin.remarks else ""
    text += f"\n\nCompile it alone:\n  g++ FILE.cpp -o FILE.so {' '.join(COMPILE_FLAGS)}"
    text += f"\n      {' '.join(target.flags if target else ())}"
    text += "\nand call `attention` below, or run its items in threads of your own."
    return "\n".join(f"// {line}".rstrip() for line in text.split("\n"))


def _cut(plan: CpuPlan) -> str:
    if plan.decode:
        rows = "1 row has" if plan.block_m == 1 else f"{plan.block_m} rows share"
        return f"{plan.target}: {rows} each key, tiles of {plan.block_n} keys, splits of {plan.split_keys}"
    pairs = ", bf16 in pairs" if plan.dot else ""
    micro = f"{plan.micro_m} x {plan.lanes} rows by {plan.micro_n} keys in registers{pairs}"
    shared = f", {plan.q_tiles} tiles of rows at once" if plan.q_tiles > 1 else ""
    return f"{plan.target}: tiles of {plan.block_m} rows x {plan.block_n} keys{shared}, {micro}"
