"""Rows for the tests, and a program that adds them in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from attngen.records.row import Configuration, Decision, Measurement, Subject

ROOT = Path(__file__).resolve().parents[2]
SUBJECT = Subject("ab" * 32, "causal", "bf16", "avx512_bf16", "A processor", 1, 4096, 4096)
AT = "2026-01-31T12:00:00+00:00"

# reports each row once `add` has: what stands on stdout must be found in the store
WRITER = """
import sys
from pathlib import Path
from attngen.records.store import Store
from tests.records.kit import turn
path, who, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Store.open(path) as store:
    print("open", flush=True)
    for number in range(count):
        store.add(turn(number, sweep=who))
        print(number, flush=True)
"""


def turn(
    number: int = 0, *, subject: Subject = SUBJECT, block_m: int = 64, sweep: str = "s", **fields: Any
) -> Measurement:
    """A measured turn; other numbers and sweeps are other sources."""
    made = Configuration({"block_n": 32, "block_m": block_m}, f"{sweep}{number}", "g++ 12.2.0", "attngen 0.1.0", 90.0)
    usual = {"stage": "screen", "round": 0, "status": "measured", "seconds": 1e-4, "wall": 2e-4, "at": AT}
    return Measurement(subject, made, **{**usual, "sweep": sweep, **fields})


def decision(subject: Subject = SUBJECT, **fields: Any) -> Decision:
    made = turn(subject=subject).configuration
    verdict = Decision(subject, made, {"block_m": 128, "block_n": 64}, 1.25, 0.03, 24, 2, "s", AT)
    return replace(verdict, **fields)


def start(path: Path, who: str, count: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(path), who, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
