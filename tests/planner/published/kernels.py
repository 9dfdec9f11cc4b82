"""The kernels behind the published rows, as the cost model sees them: tiles, warps, order of launch."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import attngen as ag
from attngen.language.spec import AttentionSpec
from attngen.pipeline import problem_of
from attngen.planner.backward import BackwardShape, around_the_loop, backward_tile
from attngen.planner.candidates import Candidate
from attngen.planner.constants import Constants
from attngen.planner.cost import LAUNCH_US, Span, kernel_us, memory_us
from attngen.planner.pipes import Tile, forward_tile, matrix_rate
from attngen.planner.problem import Problem
from attngen.planner.resources import estimate, instruction
from attngen.planner.waves import Work, makespan
from attngen.targets.load import find_target
from attngen.targets.target import Target

HERE = Path(__file__).parent
FLOPS_OF_PASS = {"fwd": 1.0, "bwd": 2.5, "fwd+bwd": 3.5}
"""Of the forward pass, as everybody counts them: two products there, five in the backward pass."""


@dataclass(frozen=True)
class Row:
    """One published figure. ``aside`` names why it is not fitted, empty if it is."""

    source: str
    device: str
    kernel: str
    passes: str
    dtype: str
    batch: int
    heads_q: int
    heads_kv: int
    seqlen: int
    head_dim: int
    mask: str
    tflops: float
    clock_mhz: float
    aside: str

    @property
    def pairs(self) -> float:
        """Kept pairs of one head, as the sources count: half for causal, the exact area for a window."""
        if self.mask.startswith("window"):
            width = int(self.mask.split()[1])
            short = min(width, self.seqlen)
            return short * (short + 1) / 2 + max(0, self.seqlen - width) * width
        return self.seqlen**2 / (2 if self.mask == "causal" else 1)

    @property
    def flops(self) -> float:
        return 4.0 * self.batch * self.heads_q * self.pairs * self.head_dim * FLOPS_OF_PASS[self.passes]


@cache
def rows() -> tuple[Row, ...]:
    lines = (HERE / "rows.csv").read_text(encoding="utf-8").splitlines()
    found = []
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        sizes = (int(row[name]) for name in ("batch", "heads_q", "heads_kv", "seqlen", "head_dim"))
        names = (row[name] for name in ("source", "device", "kernel", "pass", "dtype"))
        clock = float(row["clock_mhz"] or 0)
        found.append(Row(*names, *sizes, row["mask"], float(row["tflops"]), clock, row["aside"]))
    return tuple(found)


@cache
def device(name: str) -> Target:
    """The target table's, or one like another of its architecture with other counts (data sheets, from memory)."""
    half, whole = (("fp16", 512.0), ("bf16", 512.0)), (("fp16", 1024.0), ("bf16", 1024.0))
    if name == "L20":
        return replace(find_target("RTX 4090"), name=name, num_sms=92, dram_gbps=864, mma_flop_per_clk=half)
    if name == "RTX A5000":
        return replace(find_target("RTX 3090"), name=name, num_sms=64, dram_gbps=768, mma_flop_per_clk=whole)
    if name == "RTX 2080 Ti":
        card = replace(find_target("T4"), name=name, num_sms=68, dram_gbps=616, mma_flop_per_clk=half[:1])
        return replace(card, boost_clock_mhz=1545, mma_clock_mhz=1545)
    return find_target(name)


# The tile of a Triton kernel is the plan that attngen makes for it, pinned so that the fit does not feed on itself:
# by product instruction (rows, keys, warps up to 64 columns, warps beyond, descriptors)
TRITON = {
    "mma": (128, 64, 4, 8, False),
    "wgmma": (128, 128, 8, 8, True),
    "tcgen05": (128, 128, 8, 8, True),
    "mfma": (128, 64, 4, 4, False),
}


def fa2_forward(row: Row, target: Target) -> tuple[int, int, int]:
    """(rows, keys, warps), as csrc/flash_attn/src/flash_fwd_launch_template.h of Dao-AILab/flash-attention has them."""
    if row.head_dim <= 64:
        return 128, 128, 4
    if row.head_dim <= 128:
        if target.arch in ("sm_86", "sm_89"):
            return (64, 64, 4) if row.mask == "causal" else (128, 32, 4)
        return 128, 64, 4
    # two small blocks where they fit, one large one elsewhere
    small = target.smem_per_sm >= 4 * 256 * (64 + 2 * 64) or target.smem_per_block < 2 * 256 * (128 + 2 * 64)
    return (64, 64, 4) if small else (128, 64, 8)


def fa2_backward(row: Row, target: Target) -> BackwardShape:
    """As flash_bwd_launch_template.h has it; the last three are AtomLayoutMSdP, NdKV and MdQ."""
    large = target.smem_per_block >= 144 * 1024
    if row.head_dim <= 64:
        return BackwardShape(128, 128, 8, 4, 4, 4) if large else BackwardShape(64, 128, 8, 2, 4, 4)
    if row.head_dim <= 128:
        return BackwardShape(64, 128, 8, 2, 4, 2) if large else BackwardShape(64, 64, 8, 4, 2, 2)
    return BackwardShape(64, 64, 8, 4, 2, 2)


TRITON_BACKWARD = BackwardShape(32, 128, 4, 1, 1, 1, two_loops=True)
"""The tutorial's loop over queries; the other one has the same tile turned round."""
OLD_TRITON = BackwardShape(128, 128, 8, 8, 8, 8)
"""flash_attn_triton.py of 2022: no pipelining."""


@cache
def _spec(heads_q: int, heads_kv: int, head_dim: int, mask: str, dtype: str) -> AttentionSpec:
    masks = {"none": None, "causal": ag.causal()}
    chosen = masks[mask] if mask in masks else ag.causal() & ag.sliding_window(int(mask.split()[1]))
    return ag.AttentionSpec(name="row", heads=(heads_q, heads_kv), head_dim=head_dim, mask=chosen, dtype=dtype)


@cache
def _work(spec: AttentionSpec, rows: int, keys: int, batch: int, length: int, inverse: bool) -> Work:
    """Tiles of every block, in the order of launch of these kernels: ascending."""
    view = ag.schedule(spec, q_tile=rows, kv_tile=keys)
    counts = (view.inverse() if inverse else view).row_counts(length, batch=batch)
    return Work(tuple(counts.full.tolist()), tuple(counts.partial.tolist()), counts.times)


@dataclass(frozen=True)
class _Forward:
    tile: Tile
    work: Work
    occupancy: int
    dram_bytes: float


@cache
def _problem(row: Row) -> tuple[AttentionSpec, Problem]:
    spec = _spec(row.heads_q, row.heads_kv, row.head_dim, row.mask, row.dtype)
    return spec, replace(problem_of(spec, row.dtype, row.seqlen, row.seqlen), batch=row.batch, mask_ops=2)


@cache
def _forward(row: Row) -> _Forward:
    target, (spec, problem) = device(row.device), _problem(row)
    chunks = (row.head_dim,)
    kind: str | None
    if row.kernel == "fa2":
        rows_, keys, warps = fa2_forward(row, target)
        candidate, kind = Candidate(rows_, keys, warps, 2, 1, chunks, chunks, False), "mma"
        occupancy = 2 if warps == 4 else 1  # 255 registers a thread
    else:
        old = row.kernel == "fa-triton"
        rows_, keys, few, many, descriptors = (128, 128, 4, 8, False) if old else TRITON[target.mma]
        warps = few if row.head_dim <= 64 else many
        candidate = Candidate(rows_, keys, warps, 1 if old else 2, 1, chunks, chunks, descriptors)
        kind, occupancy = instruction(candidate, problem, target), estimate(candidate, problem, target).occupancy
    work = _work(spec, rows_, keys, row.batch, row.seqlen, False)
    tile = forward_tile(candidate, problem, target, work.blocks, kind, True if row.kernel == "fa2" else None)
    heads = 2 * row.heads_q + 2 * row.heads_kv
    return _Forward(tile, work, max(1, occupancy), 2.0 * row.batch * row.seqlen * row.head_dim * heads)


def _forward_us(row: Row, fit: Constants, span: Span) -> float:
    made = _forward(row)
    return kernel_us(
        made.tile, made.work, made.occupancy, made.dram_bytes, device(row.device), fit,
        clock_mhz=row.clock_mhz, span=span,
    )[0]  # fmt: skip


def _backward_us(row: Row, fit: Constants, span: Span) -> float:
    target, (spec, problem) = device(row.device), _problem(row)
    shape, kind = TRITON_BACKWARD, target.mma
    if row.kernel == "fa2":
        shape, kind = fa2_backward(row, target), "mma"
    elif row.kernel == "fa-triton":
        shape = OLD_TRITON
    tile = backward_tile(shape, row.head_dim, target, kind, matrix_rate(problem, target, kind, 128), fit)
    work = _work(spec, shape.rows, shape.keys, row.batch, row.seqlen, True)
    elements = row.batch * row.heads_q * row.seqlen * row.head_dim
    occupancy = 1 if shape.warps == 8 else 2
    us, _, _ = kernel_us(tile, work, occupancy, 16.0 * elements, target, fit, clock_mhz=row.clock_mhz, span=span)
    around, launches = around_the_loop(row.batch * row.heads_q, row.seqlen, row.head_dim, shape.two_loops)
    return us + memory_us(around, target) + (launches - 1) * LAUNCH_US


def predicted_tflops(row: Row, fit: Constants, span: Span = makespan) -> float:
    us = _forward_us(row, fit, span) if row.passes != "bwd" else 0.0
    us += _backward_us(row, fit, span) if row.passes != "fwd" else 0.0
    if row.kernel != "fa2":  # its launcher takes longer than a small kernel, and is timed with it
        us = (us**4 + fit.host_us**4) ** 0.25
    return row.flops / us / 1e6
