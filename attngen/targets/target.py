"""A GPU as the planner sees it: a row of targets.toml."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One device. Rates are per clock and multiprocessor (SM or CU), sizes in bytes, FLOPs dense."""

    name: str
    vendor: str
    arch: str
    aliases: tuple[str, ...]
    num_sms: int
    boost_clock_mhz: float
    dram_gbps: float
    l2_bytes: int
    max_threads_per_sm: int
    max_blocks_per_sm: int
    smem_per_sm: int
    smem_per_block: int
    smem_reserved_per_block: int
    regs_per_sm: int
    max_regs_per_thread: int
    warp_size: int
    sub_partitions: int
    mma_flop_per_clk: tuple[tuple[str, float], ...]
    fma_per_clk: float
    exp_per_clk: float
    tensor_descriptors: bool
    mma: str
    """How tensor cores are driven: mma (sm_80..89, sm_120), wgmma (sm_90), tcgen05 (sm_100), mfma, wmma (AMD)."""
    notes: tuple[str, ...] = ()
    device_names: tuple[str, ...] = ()
    """What the driver calls the device, for finding the target of a running GPU."""
    mma_clock_mhz: float = 0.0
    """The clock at which the vendor's peak FLOPs hold; under load it is the better guess of the two."""
    max_warps_per_sm: int = 0
    memory_bytes: int = 0
    smem_bytes_per_clk: float = 128.0
    l2_gbps: float = 0.0
    """Measured L2 bandwidth, 0 when unknown."""
    tmem_bytes: int = 0
    sources: tuple[str, ...] = ()
    confidence: tuple[tuple[str, str], ...] = ()

    @property
    def load_clock_mhz(self) -> float:
        """The clock that predictions take."""
        return self.mma_clock_mhz or self.boost_clock_mhz

    def mma_rate(self, kind: str) -> float:
        """Dense tensor-core FLOPs a clock and multiprocessor for ``kind`` (fp16, bf16, tf32, ...), 0 if none."""
        return dict(self.mma_flop_per_clk).get(kind, 0.0)

    @property
    def fp32_rate(self) -> float:
        """FLOPs a clock and multiprocessor of IEEE fp32 products: FMA units, or MFMA where AMD has it."""
        return max(2.0 * self.fma_per_clk, self.mma_rate("fp32_mfma"))
