"""Problems for planner tests, without specs: a head dimension, a mask or none, a dtype."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attngen.expr.op import Kind, Op, intern
from attngen.language.definition import Definition, HeadDim, Heads, Softmax
from attngen.planner.problem import Problem

HERE = Path(__file__).parent
_INT = [intern(Op.INDEX, (), name, Kind.INT) for name in ("kv", "q")]
CAUSAL = intern(Op.LE, tuple(_INT), None, Kind.BOOL)
TRUE = intern(Op.CONST, (), True, Kind.BOOL)
SCORE = intern(Op.SCORE, (), None, Kind.FLOAT)
SCALE = intern(Op.CONST, (), 0.125, Kind.FLOAT)


def problem(
    qk: int = 128,
    v: int | None = None,
    dtype: str = "bf16",
    *,
    heads: tuple[int, int] = (32, 8),
    masked: bool = True,
    tf32: bool = False,
    **options: Any,
) -> Problem:
    mask = CAUSAL if masked else TRUE
    definition = Definition(Heads(*heads), HeadDim(qk, v or qk), None, tf32, SCALE, mask, SCORE, Softmax(), (), ())
    return Problem(definition, dtype, **options)


def table(name: str) -> Iterator[dict[str, str]]:
    """Rows of a CSV file beside this one; lines that start with # say where it comes from."""
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return csv.DictReader(line for line in lines if not line.startswith("#"))
