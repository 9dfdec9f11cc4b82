"""Recorded sweeps, and what the tests ask of a store."""

from __future__ import annotations

import sys
from pathlib import Path

from attngen.records.store import Store
from attngen.tune.replay import replay

ROOT = Path(__file__).resolve().parents[2]
SWEEPS = sorted((Path(__file__).with_name("sweeps")).glob("*.jsonl"))
SWEEP = next(path for path in SWEEPS if path.stem == "causal_d64_fp32")

Turn = tuple[tuple[tuple[str, int], ...], str, int, str, float]


def turns(path: Path) -> set[Turn]:
    """Every turn that a store has: plan, stage, round, what became of it, and its time."""
    with Store.open(path, readonly=True) as store:
        rows = store.measurements()
    return {(tuple(row.configuration.plan.items()), row.stage, row.round, row.status, row.seconds) for row in rows}


def main() -> None:
    """A sweep in a process of its own: ``python -m tests.tune.kit FILE STORE PAUSE``."""
    file, store, pause = sys.argv[1:]
    result = replay(Path(file), Path(store), processes=True, pause_s=float(pause))
    print(f"done {result.measured} {result.reused} {result.failed}", flush=True)


if __name__ == "__main__":
    main()
