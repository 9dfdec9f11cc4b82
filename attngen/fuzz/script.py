"""A case as Python source: what the fuzzer runs is the text that a failure's script shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attngen.fuzz.expressions import python, text

if TYPE_CHECKING:
    from attngen.fuzz.cases import Case, Node
    from attngen.language.spec import AttentionSpec


def node_source(node: Node, given: str = "b, h, q, kv") -> tuple[str, bool]:
    """(source, whether it makes a vocabulary object: a callable or text alone has no operators)."""
    kind = node[0]
    if kind == "vocabulary":
        return f"ag.{node[1]}", True
    if kind == "mod":
        return f"lambda {given}: {python(node[1])}", False
    if kind == "text":
        return repr(text(node[1])), False
    sides = [node_source(part) for part in node[1:]]
    if not any(is_mask for _, is_mask in sides):
        sides[0] = (f"ag.full() & ({sides[0][0]})", True)
    brackets = [f"({source})" if " " in source else source for source, _ in sides]
    return (f"~{brackets[0]}" if kind == "~" else f"{brackets[0]} {kind} {brackets[1]}"), True


def spec_arguments(case: Case) -> dict[str, str]:
    """The arguments of `AttentionSpec` by name, as source."""
    out = {"heads": str(case.heads), "head_dim": str(case.dim)}
    if case.mask is not None:
        out["mask"] = node_source(case.mask)[0]
    steps = [node_source(node, "score, b, h, q, kv")[0] for node in case.scores]
    if steps:
        out["score"] = steps[0] if len(steps) == 1 else f"[{', '.join(steps)}]"
    for name in ("scale", "normalizer", "sink"):
        if (source := getattr(case, name)) is not None:
            out[name] = source
    if case.pinned_dtype:
        out["dtype"] = repr(case.dtype)
    if case.blocks != (None, None):
        out["blocks"] = str(case.blocks)
    if case.params:
        out["params"] = repr(case.params)
    if case.declared:
        shapes = (f"{name!r}: ag.TensorSpec({shape!r}, {dtype!r})" for name, (shape, dtype) in case.declared.items())
        out["tensors"] = f"{{{', '.join(shapes)}}}"
    return out


def words(case: Case) -> set[str]:
    """Every word in the sources of a case, its tables of names left out."""
    texts = [source for name, source in spec_arguments(case).items() if name not in ("params", "tensors")]
    return set(re.findall(r"\w+", " ".join(texts)))


def _letters(case: Case) -> dict[str, int]:
    return {"B": case.batch, "H": case.heads[0], "Hkv": case.heads[1], "M": case.m, "N": case.n}


def build_spec(case: Case) -> AttentionSpec:
    """The spec, its captured tensors made for the lengths of the case's call."""
    import torch

    import attngen
    from attngen.fuzz.tensors import MAKERS

    # __name__ as in a script: a callable of the user's, not of a library
    names: dict[str, Any] = {"__name__": "__main__", "ag": attngen, "torch": torch, **_letters(case), **MAKERS}
    for name, source in case.tensors.items():
        names[name] = eval(source, names)
    arguments = {name: eval(source, names) for name, source in spec_arguments(case).items()}
    return attngen.AttentionSpec("fuzz", **arguments)


def check_arguments(case: Case) -> dict[str, Any]:
    """The arguments of `attngen.checking.check.check` after the lengths."""
    return {
        "dtype": case.dtype,
        "seed": case.seed,
        "layout": case.layout,
        "kv_batch": case.kv_batch,
        "magnitude": case.magnitude,
        "target": case.target,
    }


def script(case: Case, title: str, problems: list[str]) -> str:
    """A file that shows the failure when it is run with Python."""
    from attngen.fuzz.tensors import MAKERS

    used = [name for name in MAKERS if any(name in source for source in case.tensors.values())]
    says = "\n".join(line.replace('"""', "'''").replace("\\", "\\\\") for line in problems)
    lines = [
        f'"""{title}',
        "",
        f'{says}\n"""',
        "",
        "import os",
        "",
        'os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported',
        "",
        "import torch  # noqa: E402, F401",
        "",
        "import attngen as ag  # noqa: E402",
        "from attngen.checking.check import check  # noqa: E402",
        *([f"from attngen.fuzz.tensors import {', '.join(used)}  # noqa: E402"] if used else []),
        "",
        "; ".join(f"{name} = {size}" for name, size in _letters(case).items()),
        *(f"{name} = {source}" for name, source in case.tensors.items()),
        "spec = ag.AttentionSpec(",
        '    "fuzz",',
        *(f"    {name}={source}," for name, source in spec_arguments(case).items()),
        ")",
        f"check(spec, B, M, N, {', '.join(f'{name}={value!r}' for name, value in check_arguments(case).items())})",
        'print("no failure")',
    ]
    return "\n".join(lines) + "\n"
