"""Build many variants for many targets: one row a pair, nothing raised for what a pair does wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from attngen.building.build import build
from attngen.building.built import Built
from attngen.building.store import BuildStore
from attngen.building.workers import WORKERS, Workers
from attngen.errors import AttngenError, PlanError
from attngen.language.spec import AttentionSpec
from attngen.machine_code.loops import Loop

TARGETS = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_103", "sm_120", "gfx942", "gfx950")
"""The architectures that every example is checked for, each by its common device."""


@dataclass(frozen=True, slots=True)
class Row:
    """One pair. ``status``: ok, refused (no plan passes; ``reason`` has the arithmetic) or failed (a bug).

    Of an ``ok`` pair ``reason`` says what was wrong with the plans that were ranked higher.
    """

    example: str
    target: str
    status: str
    reason: str
    built: Built | None = None

    def record(self) -> dict[str, Any]:
        """What --json prints: the plan in short, and the figures of the loops."""
        found: dict[str, Any] = {
            "example": self.example,
            "target": self.target,
            "status": self.status,
            "reason": self.reason,
        }
        if self.built is None:
            return found
        plan, kernel = self.built.plan, self.built.forward
        found["device"] = plan.target
        names = ("block_m", "block_n", "num_warps", "num_stages", "pack", "descriptors")
        found["plan"] = {name: getattr(plan, name) for name in names}
        names = ("registers", "spills", "spill_bytes", "shared_bytes", "num_warps", "occupancy")
        found |= {name: getattr(kernel, name) for name in names}
        found["default_plan_passes"] = not self.built.tried
        found["loops"] = [_loop_record(loop) for loop in kernel.loops if loop.main]
        return found


def _loop_record(loop: Loop) -> dict[str, Any]:
    return {
        "line": loop.line,
        "masked": loop.masked,
        "slots": loop.slots,
        "mflop": loop.flops / 1e6,
        "slots_per_kflop": round(loop.slots_per_kflop, 4) if loop.slots_per_kflop else None,
        "cycles": {name: round(cycles) for name, cycles in loop.cycles},
        "spills": loop.spills,
        "async_copies": loop.async_copies,
        "product_waits": loop.product_waits,
        "waits": loop.waits,
        "order": loop.order,
        "mix": dict(loop.mix),
    }


def check(
    specs: Sequence[tuple[str, AttentionSpec]],
    targets: Sequence[str],
    *,
    workers: int = WORKERS,
    store: BuildStore | None = None,
) -> Iterator[Row]:
    """A row for every pair as it is done, in no order. ``workers`` processes compile."""
    kept = store or BuildStore()
    with Workers(workers) as compilers, ThreadPoolExecutor(workers) as threads:
        pairs = [
            threads.submit(_check_pair, name, spec, target, compilers, kept)
            for target in targets
            for name, spec in specs
        ]
        try:
            for pair in as_completed(pairs):
                yield pair.result()
        finally:
            for pair in pairs:
                pair.cancel()


def _check_pair(name: str, spec: AttentionSpec, target: str, workers: Workers, store: BuildStore) -> Row:
    try:
        built = build(spec, target, workers=workers, store=store)
    except PlanError as error:
        return Row(name, target, "refused", str(error))
    except AttngenError as error:
        return Row(name, target, "failed", str(error))
    except Exception as error:  # a bug is a row of the table, not its end
        return Row(name, target, "failed", f"{type(error).__name__}: {error}")
    return Row(name, target, "ok", "; ".join(f"not {attempt}" for attempt in built.tried), built)
