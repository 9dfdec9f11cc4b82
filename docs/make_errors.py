"""Writes docs/errors.md: every class of error with a message that attngen really gives.

With --check it writes nothing, and exits with 1 when the page differs.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import attngen as ag
from attngen import errors

PAGE = Path(__file__).with_name("errors.md")

HEAD = """\
# Errors

<!-- made by docs/make_errors.py: edit that file, then `make docs` -->

Every error that a user can cause is an `attngen.errors.AttngenError`. Its text says what the value was, where it
stood, and the way out; on the command line it is one screen on stderr and exit code 2. The parts are fields of the
exception: `what`, `place`, `remedy`. An explicit request is never replaced by something else in silence.
The messages below are made by running the lines above them.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A line that fails, as shown and as run."""

    error: type[errors.AttngenError]
    shown: str
    run: Callable[[], object]


def _spec(**fields: object) -> ag.AttentionSpec:
    return ag.AttentionSpec(**{"name": "x", "heads": 4, "head_dim": 64, **fields})  # type: ignore[arg-type]


def _branch(b, h, q, kv):  # type: ignore[no-untyped-def]
    return q if q > kv else kv


CASES = (
    Case(
        errors.SpecError,
        'ag.AttentionSpec(name="x", heads=(32, 5), head_dim=64)',
        lambda: _spec(heads=(32, 5)),
    ),
    Case(
        errors.SpecError,
        'ag.AttentionSpec(name="x", heads=4, head_dim=64, dtype="fp8")',
        lambda: _spec(dtype="fp8"),
    ),
    Case(
        errors.ExpressionError,
        'ag.AttentionSpec(name="x", heads=4, head_dim=64, mask="kv <= q & (q - kv < windw(8))")',
        lambda: _spec(mask="kv <= q & (q - kv < windw(8))").definition,
    ),
    Case(
        errors.ExpressionError,
        'ag.AttentionSpec(name="x", heads=4, head_dim=64, mask="kv <= heads")',
        lambda: _spec(mask="kv <= heads").definition,
    ),
    Case(
        errors.TraceError,
        'ag.AttentionSpec(name="x", heads=4, head_dim=64, mask=lambda b, h, q, kv: q if q > kv else kv)',
        lambda: _spec(mask=_branch).definition,
    ),
    Case(
        errors.TargetError,
        'ag.generate(spec, target="h1000")',
        lambda: ag.generate(_spec(), target="h1000"),
    ),
    Case(
        errors.PlanError,
        'ag.generate(spec_of_head_dim_256, target="rtx4090", plan={"block_m": 128, "block_n": 128})',
        lambda: ag.generate(_spec(head_dim=256), target="rtx4090", plan={"block_m": 128, "block_n": 128}),
    ),
    Case(
        errors.UnsupportedError,
        'draw_mask(keep, tiles, 128, 64, "mask.bmp")',
        lambda: _draw_bitmap(),
    ),
    Case(
        errors.CallError,
        "ag.reference(spec_with_window, q, k, v)",
        lambda: _reference_without_window(),
    ),
    Case(
        errors.CallError,
        "attend(q, k_of_two_heads, v)",
        lambda: _call(keys_heads=2),
    ),
    Case(
        errors.RuntimeMissingError,
        'ag.compile(spec, backend="triton")(q, k, v)  # on a machine without a GPU',
        lambda: _call(keys_heads=4, backend="triton"),
    ),
    Case(
        errors.CompilerError,
        "attend(q, k, v)  # CXX names a compiler that fails",
        lambda: _compile_nonsense(),
    ),
    Case(
        errors.StoreError,
        """from_line('{"kind": "measurment"}')  # of attngen.records.lines""",
        lambda: _bad_line(),
    ),
)


def _draw_bitmap() -> object:
    import numpy as np

    from attngen.draw.masks import draw_mask

    return draw_mask(None, np.zeros((1, 1), np.int8), 128, 64, "mask.bmp")


def _compile_nonsense() -> object:
    import tempfile

    from attngen.runtime.native.compiler import Compiler, compile_library

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.cpp"
        source.write_text("")
        compiler = Compiler(("false",), "g++", "a compiler that fails")
        try:
            return compile_library(compiler, ("-shared",), source, Path("kernel.so"), "x")
        except errors.CompilerError as error:  # the place of the file is another each time
            raise errors.CompilerError(
                error.what.replace(str(source), "kernel.cpp"), place=error.place, remedy=error.remedy
            ) from error


def _bad_line() -> object:
    from attngen.records.lines import from_line

    return from_line('{"kind": "measurment"}')


def _call(keys_heads: int, backend: str = "cpu") -> object:
    import torch

    q = torch.zeros(1, 4, 8, 64)
    k = torch.zeros(1, keys_heads, 8, 64)
    return ag.compile(_spec(), backend=backend)(q, k, k)


def _reference_without_window() -> object:
    import numpy as np

    q = np.zeros((1, 4, 8, 64))
    return ag.reference(_spec(mask=ag.sliding_window("window"), params={"window": "int32"}), q, q, q)


def message(case: Case) -> str:
    try:
        case.run()
    except errors.AttngenError as error:
        if type(error) is not case.error:
            raise AssertionError(f"{case.shown}\n  gave {type(error).__name__}: {error}") from error
        return str(error)
    raise AssertionError(f"no error: {case.shown}")


def page() -> str:
    parts = [HEAD]
    for name, error in vars(errors).items():
        if not (inspect.isclass(error) and issubclass(error, errors.AttngenError)) or error is errors.AttngenError:
            continue
        base = error.__mro__[1].__name__
        parts.append(f"## {name}\n\n{inspect.getdoc(error)}\n" + (f"A `{base}`.\n" if base != "AttngenError" else ""))
        for case in CASES:
            if case.error is error:
                parts.append(f"```python\n{case.shown}\n```\n\n```text\n{message(case)}\n```\n")
    parts.append(f"## GraphError\n\n{inspect.getdoc(errors.GraphError)} Please report it with the spec.\n")
    return "\n".join(parts)


def main() -> None:
    os.environ.pop("TRITON_INTERPRET", None)  # with it a CPU is something to run on
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE} differs; `make docs` writes it anew")
        return
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
