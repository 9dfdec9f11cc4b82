"""Three real models, from spec to checked kernel: explain, emit, run against the oracle, draw.

    python examples/demo.py          (or: make demo)

Files go to build/demo/. Kernels run on a GPU where there is one, else in Triton's interpreter; there, fewer
heads and only the last queries keep the run short, while windows and documents have their real sizes.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

os.environ.setdefault("TRITON_INTERPRET", "1")  # before triton is imported; see `use_gpu_if_there`

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import attngen as ag
from attngen.cli.run import Verdict, judge
from attngen.sample import Sizes
from attngen.cli.show import save_mask_picture
from attngen.language import toml

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build" / "demo"
TARGETS = ("h100", "a100", "mi300x")
SEQLEN = 8192


@dataclass(frozen=True, slots=True)
class Subject:
    """An example, and what of it is run: heads, queries and keys."""

    name: str
    heads: tuple[int, int]
    queries: int
    keys: int


SUBJECTS = (
    Subject("mistral_7b", (4, 1), 64, 4200),
    Subject("gemma2", (2, 1), 64, 4200),
    Subject("packed_documents", (4, 1), 512, 512),
)
