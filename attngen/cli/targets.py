"""``attngen targets``: the GPUs and CPUs that plans are made for."""

from __future__ import annotations

from dataclasses import asdict

from attngen.cli.options import AsJson


def targets(as_json: AsJson = False) -> None:
    """List the GPUs and CPUs that attngen plans for, with the figures it plans by."""
    from attngen.cli.output import console, print_json
    from attngen.targets.cpu import CPUS
    from attngen.targets.load import load_targets

    rows = load_targets()
    if as_json:
        print_json([*map(asdict, rows), *map(asdict, CPUS)])
        return

    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("target")
    table.add_column("arch")
    for heading in ("SMs", "bf16 TFLOP/s", "GB/s", "smem/block KiB"):
        table.add_column(heading, justify="right")
    table.add_column("also called")
    for target in rows:
        clock_mhz = target.mma_clock_mhz or target.boost_clock_mhz
        tflops = target.num_sms * target.mma_rate("bf16") * clock_mhz * 1e6 / 1e12
        table.add_row(
            target.name,
            target.arch,
            str(target.num_sms),
            f"{tflops:.0f}" if tflops else "-",
            f"{target.dram_gbps:.0f}",
            str(target.smem_per_block // 1024),
            ", ".join(target.aliases),
        )
    console().print(table)

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("CPU")
    table.add_column("arch")
    for heading in ("vector bits", "vectors", "bf16 pairs"):
        table.add_column(heading, justify="right")
    table.add_column("also called")
    for cpu in CPUS:
        dot = "yes" if cpu.dot_bf16 else "-"
        row = (cpu.name, cpu.arch, str(8 * cpu.vector_bytes), str(cpu.registers), dot, ", ".join(cpu.aliases))
        table.add_row(*row)
    console().print()
    console().print(table)
