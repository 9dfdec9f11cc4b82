"""``make bench``: milliseconds from a spec to its Triton source, for every example.

Warm: the process has made a kernel before, and nothing that depends on the spec is kept.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console
from rich.table import Table

from attngen import pipeline
from attngen.language import toml

ROOT = Path(__file__).resolve().parents[2]
LIMIT_MS = 100.0
KEPT = ("attngen.emit.environment", "attngen.targets.load")  # templates and targets: the same for every spec
TIMES = 3


def forget() -> None:
    """Empty the caches of attngen, as if no spec had been seen yet."""
    for module in [module for name, module in sys.modules.items() if name.startswith("attngen.")]:
        for value in vars(module).values():
            if isinstance(value, functools._lru_cache_wrapper) and value.__module__ not in KEPT:
                value.cache_clear()


def milliseconds(work: Callable[[], object]) -> float:
    """The median of a few runs, each from empty caches."""
    spent = []
    for _ in range(TIMES):
        forget()
        gc.collect()
        start = perf_counter()
        work()
        spent.append(1e3 * (perf_counter() - start))
    return median(spent)


def main() -> None:
    paths = sorted((ROOT / "examples").glob("*.toml"))
    pipeline.generate(toml.load(paths[0]))
    table = Table("example", header_style="bold")
    for heading in ("spec ms", "source ms", "lines"):
        table.add_column(heading, justify="right")
    slow = []
    for path in paths:
        spec = toml.load(path)
        reading = milliseconds(lambda path=path: toml.load(path))
        making = milliseconds(lambda spec=spec: pipeline.generate(spec))
        if reading + making > LIMIT_MS:
            slow.append(path.stem)
        table.add_row(path.stem, f"{reading:.1f}", f"{making:.1f}", str(pipeline.generate(spec).text.count("\n")))
    console = Console()
    console.print(table)
    console.print(f"over {LIMIT_MS:.0f} ms: {', '.join(slow) or 'none'}")


if __name__ == "__main__":
    main()
