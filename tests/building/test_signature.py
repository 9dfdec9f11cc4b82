"""The signature that is compiled is the one that Triton would make of the launcher's arguments."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from attngen.building.signature import kernel_signature
from attngen.emit.triton import Origin, make_view
from attngen.language import toml
from attngen.pipeline import generate
from attngen.runtime.load import load
from attngen.sample import Sizes, sample

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

FLOATS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
POINTERS = {torch.bfloat16: "*bf16", torch.float32: "*fp32", torch.int32: "*i32", torch.bool: "*i1",
            torch.int64: "*i64", torch.float16: "*fp16"}  # fmt: skip


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_signature(path: Path) -> None:
    spec = toml.load(path)
    made = generate(spec, "sm_90")
    definition = spec.definition
    drawn = sample(definition, Sizes(2, 32, 32), {})
    q, k, v = (torch.from_numpy(x).to(FLOATS[made.plan.dtype]) for x in (drawn.q, drawn.k, drawn.v))
    out = torch.empty(*q.shape[:3], v.shape[3], dtype=q.dtype)
    module = load(made.text)
    named: dict[str, Any] = {name: torch.from_numpy(x) for name, x in drawn.tensors.items()}
    for ref in definition.tensors:  # NumPy's floats come as float64
        if ref.name in named and ref.dtype in FLOATS:
            named[ref.name] = named[ref.name].to(FLOATS[ref.dtype])
    more: dict[str, Any] = {"tiles": None} if module.TILE_LIST else {}
    if "lse" in inspect.signature(module.prepare).parameters:
        more["lse"] = torch.empty(out.shape[:3], dtype=torch.float32)
    _, _, args, constants = module.prepare(q, k, v, out, **named, **drawn.params, **more)
    signature = kernel_signature(made)
    view = make_view(made.graph, made.schedule, made.plan, Origin("", "", "", False))
    assert len(signature) == len(args)
    assert list(module.attention_forward.arg_names) == [
        *(item.name for item in signature),
        *(name for name in constants if name.isupper()),
    ]
    for item, value in zip(signature, args, strict=True):
        if hasattr(value, "data_ptr"):
            assert item.type == POINTERS[value.dtype], item.name
            assert item.divisible
            continue
        specialized = isinstance(value, int) and item.name not in view.not_specialized
        assert item.type == ("i32" if isinstance(value, int) else "fp32"), item.name
        assert item.constant == (specialized and value == 1), (item, value)
        assert item.divisible == (specialized and value % 16 == 0), (item, value)
