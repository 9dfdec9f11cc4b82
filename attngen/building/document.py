"""docs/machine-code.md: what the compilers made of every example, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from attngen.building.check import Row
from attngen.machine_code.loops import Loop

# Issue slots per 1000 tensor FLOPs of the unmasked loop of FlexAttention's default kernels (torch 2.13's template
# and configurations, causal, bf16, compiled by Triton 3.9), read by the same rules.
FLEX_ATTENTION = {
    ("sm_80", 64): 1.499,
    ("sm_80", 128): 1.127,
    ("sm_90", 64): 1.117,
    ("sm_90", 128): 0.854,
    ("sm_100", 64): 1.06,
    ("sm_100", 128): 0.763,
}
_CAUSAL = {64: "causal", 128: "llama2_70b"}
"""The examples that are plain causal attention, by head dimension."""


def main_loops(row: Row) -> tuple[Loop | None, Loop | None]:
    """The cheapest full and the dearest masked loop of a pair."""
    loops = [loop for loop in row.built.forward.loops if loop.main] if row.built else []
    full = [loop for loop in loops if loop.masked is False and loop.slots_per_kflop]
    masked = [loop for loop in loops if loop.masked and loop.slots_per_kflop]
    return (
        min(full, key=lambda loop: loop.slots_per_kflop or 0.0, default=None),
        max(masked, key=lambda loop: loop.slots_per_kflop or 0.0, default=None),
    )


def figures(row: Row) -> tuple[str, str, str, str]:
    """Plan, registers, and issue slots per 1000 FLOPs of the full and the masked loop, as texts."""
    if row.built is None:
        return "", "", "", ""
    plan = row.built.plan
    loads = " TMA" if plan.descriptors else ""
    text = f"{plan.block_m}x{plan.block_n} w{plan.num_warps} s{plan.num_stages}{loads}"
    return text, str(row.built.forward.registers), *(_slots(loop) for loop in main_loops(row))  # type: ignore[return-value]


def _slots(loop: Loop | None) -> str:
    return f"{loop.slots_per_kflop:.3f}" if loop is not None and loop.slots_per_kflop else "-"


def document(rows: Sequence[Row]) -> str:
    """The whole page."""
    return "\n\n".join([_HEAD, _against_flex(rows), _EVERYTHING + "\n\n" + _table(rows), *_notes(rows)]) + "\n"


_HEAD = """# Machine code

Made by `attngen check --all --target all --markdown > docs/machine-code.md`; do not edit.

Every example is compiled for every target, without a GPU, and the machine code is read back: NVIDIA's from the
binary, AMD's from its assembly. Nothing here is a timing. *Slots* are the instructions that all warps of a block
issue in one pass of a loop over key tiles, for 1000 FLOPs of its products: what is left over beside the tensor cores.
A plan is held to these gates: no spill in a loop; shared memory and registers fit as often as planned; products
are done once; no more than three waits for wgmma a loop; key and value tiles come asynchronously (NVIDIA); the products
are of the planned kind. A plan that fails is replaced by the next one that passes."""

_EVERYTHING = """## All examples

`full` and `masked`: slots per 1000 FLOPs of the loop without and with the mask (- : there is none, or it was unrolled);
`limit`: the pipe that needs most cycles in the full loop (else in the masked one)."""


def _against_flex(rows: Sequence[Row]) -> str:
    found = {(row.example, row.target): row for row in rows}
    lines = [
        "## Causal, bf16, the loop without the mask",
        "",
        "| target | head dimension | attngen | FlexAttention | ratio | masked / full | order of the full loop |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    ratios = []
    for target in dict.fromkeys(row.target for row in rows):
        for width, example in _CAUSAL.items():
            row = found.get((example, target))
            full, masked = main_loops(row) if row is not None else (None, None)
            if full is None or not full.slots_per_kflop:
                continue
            other = FLEX_ATTENTION.get((target, width))
            if other:
                ratios.append(full.slots_per_kflop / other)
            more = masked.slots / full.slots if masked is not None else None
            lines.append(
                f"| {target} | {width} | {full.slots_per_kflop:.3f} | {other or '-'} | "
                f"{f'{ratios[-1]:.2f}' if other else '-'} | {f'{more:.2f}' if more else '-'} | `{_short(full.order)}` |"
            )
    if ratios:
        lines += ["", f"Geometric mean of the ratios: {prod(ratios) ** (1 / len(ratios)):.2f}; "
                  f"largest: {max(ratios):.2f}."]  # fmt: skip
    lines.append("M: products, e: exponentials, W: a wait for products, c: asynchronous copies, l: loads.")
    return "\n".join(lines)


def _short(order: str) -> str:
    return order if len(order) <= 60 else order[:57].rsplit(" ", 1)[0] + " ..."


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| example | target | plan | registers | shared KiB | blocks | full | masked | limit |",
        "|---|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        if row.built is None:
            lines.append(f"| {row.example} | {row.target} | {row.status} | | | | | | |")
            continue
        kernel = row.built.forward
        plan, registers, full, masked = figures(row)
        loop = next((loop for loop in main_loops(row) if loop is not None), None)
        limit = loop.cycles[0][0] if loop is not None and loop.cycles else "-"
        spills = f" ({kernel.spills} spills outside loops)" if kernel.spills else ""
        lines.append(
            f"| {row.example} | {row.target} | {plan} | {registers}{spills} | {kernel.shared_bytes / 1024:.0f} | "
            f"{kernel.occupancy} | {full} | {masked} | {limit} |"
        )
    return "\n".join(lines)


def _notes(rows: Sequence[Row]) -> list[str]:
    parts = []
    if refused := [row for row in rows if row.status == "refused"]:
        parts.append("## Refused\n\n" + "\n\n".join(_quoted(row) for row in refused))
    if failed := [row for row in rows if row.status == "failed"]:
        parts.append("## Failed\n\n" + "\n\n".join(_quoted(row) for row in failed))
    if replaced := [row for row in rows if row.status == "ok" and row.reason]:
        lines = [f"- {row.example}, {row.target}: {row.reason}" for row in replaced]
        parts.append("## Plans that were replaced\n\n" + "\n".join(lines))
    return parts


def _quoted(row: Row) -> str:
    return f"{row.example}, {row.target}:\n\n```text\n{row.reason}\n```"
