"""`make fit`: fit, leave each device out in turn, write what came of it, print the tables. About two minutes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path

from attngen.planner.constants import Constants
from tests.planner.published.figures import figures, line
from tests.planner.published.fit import fit, left_out, predictions
from tests.planner.published.kernels import Row, device, rows
from tests.support.marks import write_part

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FITTED = ROOT / "attngen" / "planner" / "fitted.toml"
LEFT_OUT = HERE / "left_out.toml"
DOCUMENT = ROOT / "docs" / "cost-model.md"
REASONS = {
    "compiler": "made by NVIDIA's tile compiler (TileIR), not by Triton's own; its two backward kernels lie 4x apart",
    "shape": "shape or mask inferred from the level; the times hold Python's launch overhead",
    "old kernel": "Triton kernel of 2022 without pipelining, compiled by Triton 2",
    "device": "device not named, inferred from the level",
    "batch": "batch and heads not stated",
    "mask": "mask and how the FLOPs are counted not stated",
    "power": "power limit of 400 W, and other lengths of keys",
    "digitised": "read off unlabelled bars; a check of masks that nothing is fitted to",
}
"""Why rows are set aside."""


def write(path: Path, tables: dict[str, Constants], about: str) -> None:
    parts = [about]
    for name, constants in tables.items():
        values = "\n".join(f"{key} = {value!r}" for key, value in asdict(constants).items())
        parts.append(f"[{name}]\n{values}")
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


@cache
def stored() -> dict[str, Constants]:
    """Device -> constants of the fit that left it out, as the last `make fit` wrote them."""
    found = tomllib.loads(LEFT_OUT.read_text(encoding="utf-8"))
    return {name: Constants(**values) for name, values in found.items()}


def fitted_rows() -> list[Row]:
    return [row for row in rows() if not row.aside]


def architecture(row: Row) -> str:
    return device(row.device).arch


def tables(whole: Constants, held_out: dict[str, Constants], by_arch: dict[str, Constants]) -> Iterable[str]:
    """Lines of Markdown."""
    head = "| {} | rows | tau | tau within a device | median error | median bias |"
    rule = "| --- | ---: | ---: | ---: | ---: | ---: |"
    given = fitted_rows()
    usual = [row for row in rows() if row.aside != "digitised"]
    yield head.format("set of rows")
    yield rule
    yield line("fitted rows, device left out", figures(given, predictions(given, held_out, whole)))
    yield line("fitted rows, architecture left out", figures(given, predictions(given, by_arch, whole, architecture)))
    yield line("fitted rows, nothing left out", figures(given, predictions(given, {}, whole)))
    yield line("with all rows set aside, device left out", figures(usual, predictions(usual, held_out, whole)))
    yield ""
    yield head.format("device, left out of its fit")
    yield rule
    for name in held_out:
        own = [row for row in given if row.device == name]
        yield line(name, figures(own, predictions(own, held_out, whole)))
    yield ""
    yield head.format("pass and kernel, device left out")
    yield rule
    for passes, kernel in dict.fromkeys((row.passes, row.kernel) for row in given):
        own = [row for row in given if (row.passes, row.kernel) == (passes, kernel)]
        yield line(f"{passes}, {kernel}", figures(own, predictions(own, held_out, whole)))
    yield ""
    yield head.format("set aside")
    yield rule
    for reason, why in REASONS.items():
        own = [row for row in rows() if row.aside == reason]
        yield line(f"{reason}: {why}", figures(own, predictions(own, held_out, whole)))


def main() -> None:
    given = fitted_rows()
    whole, held_out = fit(given), left_out(given)
    about = "# Written by `make fit` from tests/planner/published/rows.csv: docs/cost-model.md says what each one is."
    write(FITTED, {"constants": whole}, about)
    write(
        LEFT_OUT, {f'"{name}"': fit_ for name, fit_ in held_out.items()}, f"{about}\n# Each by the rows of the others."
    )
    text = "\n".join(tables(whole, held_out, left_out(given, architecture)))
    print(text)
    write_part(DOCUMENT, "held out", text)


if __name__ == "__main__":
    main()
