"""The comment that opens an emitted C++ file: what it computes, where it comes from, how to compile it."""

from __future__ import annotations

from attngen.emit.header import facts_text
from attngen.language.definition import Definition
from attngen.planner.cpu import CpuPlan
from attngen.targets.cpu import COMPILE_FLAGS, find_cpu


def comment(name: str, doc: str, definition: Definition, plan: CpuPlan, origin: str, dtype_assumed: bool) -> str:
    """Lines of //, so that no text of a user can end it early."""
    target = find_cpu(plan.arch)
    flags = " ".join([*COMPILE_FLAGS, *(target.flags if target else ())])
    products = "products of bf16 pairs" if plan.dot else f"{plan.micro_m} x {plan.lanes} rows by {plan.micro_n} keys"
    cut = f"{plan.target}: tiles of {plan.block_m} rows x {plan.block_n} keys, in registers {products}"
    text = facts_text(name, doc, definition, plan.dtype, cut, origin, dtype_assumed)
    text += f"\n\nCompile it alone:\n  g++ {flags} FILE.cpp -o FILE.so"
    text += "\nand call `attention` below, or run its items in threads of your own."
    return "\n".join(f"// {line}".rstrip() for line in text.split("\n"))
