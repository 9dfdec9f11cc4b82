"""The deliberate faults, as data: one replacement in one file each, and the tests that should notice."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).with_name("catalogue")

SELECTIONS = {
    "quick": "tests/expr/test_printer.py",
    "expr": "tests/expr",
    "graph": "tests/graph tests/expr/test_printer.py",
    "language": "tests/language",
    "tiling": "tests/tiling",
    "proofs": "tests/proofs -k loops",
    "planner": "tests/planner",
    "runtime": "tests/runtime --ignore=tests/runtime/native",
    "identity": "tests/runtime/test_identity.py",
    "native calls": "tests/runtime/native/test_calls.py tests/runtime/native/test_emitted.py",
    "native pool": "tests/runtime/native/test_pool.py",
    "native store": "tests/runtime/native/test_store.py",
    "native compiler": "tests/runtime/native/test_compiler.py",
    "native tiles": "tests/oracle/test_native.py -k 'many_tiles or sinks or levels and not decode'",
    "native shared": "tests/oracle/test_native.py -k share_keys",
    "native layouts": "tests/oracle/test_native.py -k test_layouts",
    "native decode": "tests/oracle/test_native.py -k 'decode_shapes or decode_huge or decode_levels'",
    "native pairs": "tests/oracle/test_native.py -k bf16_pairs",
    "cli": "tests/cli/test_output.py tests/cli/test_errors.py",
    "records": "tests/records --ignore=tests/records/test_damage.py",
    "damage": "tests/records/test_damage.py",
    "report": "tests/report/test_report.py tests/report/test_figures.py",
    "sweeps": "tests/tune/test_race.py tests/tune/test_space.py tests/tune/test_search.py tests/tune/test_replay.py",
    "sweep faults": "tests/tune/test_faults.py",
    "sweep kills": "tests/tune/test_kills.py",
    "processes": "tests/runtime/test_processes.py",
    "text": "tests/emit/test_triton.py -k 'not ruff and not installed' tests/mutants/test_text.py",
    "masks": "tests/oracle/test_vocabulary.py -k 'test_mask and fp32 or many_key_tiles'",
    "scores": "tests/oracle/test_vocabulary.py -k test_score",
    "packed": "tests/oracle/test_vocabulary.py -k packed_heads",
    "sinks": "tests/oracle/test_vocabulary.py -k test_sinks",
    "sigmoid": "tests/oracle/test_vocabulary.py -k test_sigmoid",
    "widths": "tests/oracle/test_vocabulary.py -k head_dimensions",
    "descriptors": "tests/oracle/test_descriptors.py",
    "layouts": "tests/oracle/test_vocabulary.py -k 'layouts or key_batch'",
    "oracle": "tests/oracle/test_reference.py tests/expr/test_evaluate.py",
}
"""Arguments of pytest: parts of what `make test` runs, small enough for one mutant each."""


@dataclass(frozen=True)
class Mutant:
    """``old`` stands exactly once in ``file``. ``survives``: why nothing can notice, for a fault that is none.

    ``fast``: one of the few that every test run tries.
    """

    area: str
    name: str
    file: str
    old: str
    new: str
    tests: str
    fast: bool = False
    survives: str = ""

    def applied(self, text: str) -> str:
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.area}, {self.name}: the old text stands {count} times in {self.file}")
        return text.replace(self.old, self.new)


def mutants() -> list[Mutant]:
    """All of them, by area."""
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        with path.open("rb") as file:
            found += [Mutant(path.stem, **entry) for entry in tomllib.load(file)["mutant"]]
    return found
