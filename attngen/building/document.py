"""docs/machine-code.md: what the compilers made of every example, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from attngen.building.check import Row
from attngen.machine_code.loops import Loop

# Issue slots per 1000 tensor FLOPs of the unmasked loop of FlexAttention's default kernels (torch 2.13's template
# and configurations, bf16, compiled by Triton 3.9), read by the same rules.
FLEX_ATTENTION = {
    ("sm_80", "causal"): 1.499,
    ("sm_80", "llama2_70b"): 1.127,
    ("sm_90", "causal"): 1.117,
    ("sm_90", "llama2_70b"): 0.854,
    ("sm_100", "causal"): 1.06,
    ("sm_100", "llama2_70b"): 0.763,
    ("sm_90", "softcap_window"): 3.45,
}
_COMPARED = {
    "causal": "causal, 64",
    "llama2_70b": "causal, 128",
    "softcap_window": "soft cap and window, 64",
}
"""Examples that are compared with FlexAttention, and what they are: the mask, and the head dimension."""
_CAUSAL = ("causal", "llama2_70b")


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
    full, masked = main_loops(row)
    return text, str(row.built.forward.registers), _slots(full), _slots(masked)


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
        "## Beside FlexAttention: bf16, the loop without the mask",
        "",
        "| target | mask, head dimension | attngen | FlexAttention | ratio | masked / full | order of the full loop |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    ratios: dict[tuple[str, str], float] = {}
    for target in dict.fromkeys(row.target for row in rows):
        for example, words in _COMPARED.items():
            row = found.get((example, target))
            full, masked = main_loops(row) if row is not None else (None, None)
            if full is None or not full.slots_per_kflop:
                continue
            other = FLEX_ATTENTION.get((target, example))
            if other:
                ratios[target, example] = full.slots_per_kflop / other
            more = f"{masked.slots / full.slots:.2f}" if masked is not None else "-"
            ratio = f"{ratios[target, example]:.3f}" if other else "-"
            lines.append(
                f"| {target} | {words} | {full.slots_per_kflop:.3f} | {other or '-'} | "
                f"{ratio} | {more} | `{_short(full.order)}` |"
            )
    causal = [ratio for (_, example), ratio in ratios.items() if example in _CAUSAL]
    if causal:
        mean = prod(causal) ** (1 / len(causal))
        lines += ["", f"Geometric mean of the causal ratios: {mean:.2f}; largest: {max(causal):.2f}."]
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
