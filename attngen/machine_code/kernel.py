"""A compiled kernel as its machine code shows it: registers, spills, loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from attngen.machine_code.amdgcn import parse_amdgcn, parse_footer
from attngen.machine_code.instruction import Category
from attngen.machine_code.loops import Loop, read_loops
from attngen.machine_code.sass import parse_sass
from attngen.machine_code.tools import list_sass, resource_usage


@dataclass(frozen=True, slots=True)
class Kernel:
    """``spills``: instructions that spill or fill (AMD: of registers that it spilled); ``spill_bytes`` of a thread."""

    registers: int
    spills: int
    spill_bytes: int
    instructions: int
    loops: tuple[Loop, ...]


def read_cubin(binary: bytes, num_warps: int) -> Kernel:
    """An NVIDIA binary, through the disassembler that ships with Triton."""
    code = parse_sass(list_sass(binary))
    usage = resource_usage(binary)
    spills = sum(item.category is Category.SPILL for item in code)
    return Kernel(usage["REG"], spills, usage["STACK"], len(code), read_loops(code, num_warps))


def read_amdgcn(text: str, num_warps: int) -> Kernel:
    """AMD assembly text. Accumulation registers count: they share the file with the others."""
    code = parse_amdgcn(text)
    footer = parse_footer(text)
    spills = max(sum(item.category is Category.SPILL for item in code), footer.spilled)
    return Kernel(footer.vgprs, spills, footer.stack_bytes, len(code), read_loops(code, num_warps))


def to_record(kernel: Kernel) -> dict[str, Any]:
    return asdict(kernel)


def from_record(record: Mapping[str, Any]) -> Kernel:
    """The kernel again after a way through JSON, which knows no tuples."""
    loops = tuple(Loop(**{f.name: _tuples(loop[f.name]) for f in fields(Loop)}) for loop in record["loops"])
    return Kernel(**{**record, "loops": loops})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
