"""Options that several commands share, and how their texts become values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attngen.errors import SpecError

if TYPE_CHECKING:
    from attngen.language.spec import AttentionSpec

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec in TOML, for example examples/mistral_7b.toml.")]
TargetName = Annotated[
    str, typer.Option("--target", "-t", metavar="T", help="A name of `attngen targets` or an alias: h100, cpu.")
]
PlanText = Annotated[
    str | None,
    typer.Option("--plan", metavar="K=V,...", help="Fix parts of the plan: block_m=128,block_n=64,num_warps=8."),
]
DtypeName = Annotated[
    str | None, typer.Option("--dtype", metavar="D", help="fp16, bf16 or fp32, where the spec leaves it open.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
StorePath = Annotated[
    Path | None,
    typer.Option("--store", metavar="PATH", help="A store of measurements, instead of the one in the cache directory."),
]
Values = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="The value of a parameter of the spec. Repeat as needed."),
]


def load_spec(path: Path) -> AttentionSpec:
    """The spec in a file; what is wrong with the file is an error of the spec."""
    from attngen.language import toml

    if path.is_dir():
        raise SpecError("is a directory", place=str(path), remedy="name a TOML file in it")
    if not path.exists():
        near = sorted(str(p) for p in path.absolute().parent.glob("*.toml"))[:5] if path.parent.is_dir() else []
        remedy = f"TOML files there: {', '.join(Path(p).name for p in near)}" if near else "check the path"
        raise SpecError("no such file", place=str(path), remedy=remedy)
    return toml.load(path)


def parse_values(texts: list[str] | None) -> dict[str, int | float]:
    """``["W=4096", "tau=0.5"]`` as numbers by name."""
    values: dict[str, int | float] = {}
    for text in texts or []:
        name, equals, number = text.partition("=")
        try:
            values[name.strip()] = float(number) if any(c in number for c in ".eE") else int(number)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise SpecError(f"`{text}` is not NAME=NUMBER", place="--param", remedy="write --param W=4096")
    return values


def parse_plan(text: str | None, option: str = "--plan") -> dict[str, int] | None:
    """``"block_m=64,num_warps=4"`` as fields of a plan."""
    from attngen.planner.overrides import parse_plan_overrides

    return parse_plan_overrides(text, option) if text else None
