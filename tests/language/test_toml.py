"""TOML files: round trips, one fingerprint with Python, and errors for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attngen.language as ag
from attngen.errors import SpecError
from attngen.language.toml import LARGEST_FILE, dump, load

EXAMPLES = sorted(Path(__file__).parents[2].glob("examples/*.toml"))
MINIMAL = 'name = "a"\nhead_dim = 64\nheads = { q = 4, kv = 2 }\n'

TWINS: list[tuple[str, dict[str, Any]]] = [
    (MINIMAL, {}),
    (MINIMAL + 'mask = "causal & sliding_window(4096)"', {"mask": ag.causal() & ag.sliding_window(4096)}),
    (MINIMAL + 'mask = "causal & (kv < 4 | chunked(8))"', {"mask": ag.causal() & ("kv < 4" | ag.chunked(8))}),
    (MINIMAL + 'score = ["softcap(30.0)", "alibi"]', {"score": [ag.softcap(30.0), ag.alibi()]}),
    (
        MINIMAL + 'score = "alibi"\ndtype = "bf16"\nscale = 0.25',
        {"score": ag.alibi(), "dtype": "bfloat16", "scale": 0.25},
    ),
    (MINIMAL + 'sink = "off_by_one"\ntf32 = true', {"sink": "off_by_one", "tf32": True}),
    (MINIMAL + 'normalizer = "sigmoid"', {"normalizer": ag.sigmoid()}),
    (MINIMAL + 'normalizer = "sigmoid(bias=-2.5)"', {"normalizer": ag.sigmoid(bias=-2.5)}),
    (MINIMAL + 'normalizer = "sigmoid(bias=-log(M))"', {"normalizer": ag.sigmoid("-log(M)")}),
    (MINIMAL + "[blocks]\nq = 128", {"blocks": ag.Blocks(q=128)}),
    (MINIMAL + "[blocks]\nq = 128\nkv = 64", {"blocks": (128, 64)}),
    (
        MINIMAL + 'mask = "sliding_window(W)"\nscale = "s"\n[params]\nW = "int32"\ns = "float32"',
        {"mask": ag.sliding_window("W"), "scale": "s", "params": {"W": "int32", "s": "float32"}},
    ),
    (
        MINIMAL + 'sink = "s"\nmask = "document(ids=d)"\n[tensors]\ns = {shape = ["H"], dtype = "fp32"}\n'
        'd = {shape = ["B", "N"], dtype = "int32"}',
        {
            "sink": "s",
            "mask": ag.document(ids="d"),
            "tensors": {"s": ag.TensorSpec(("H",), "fp32"), "d": (("B", "N"), "int32")},
        },
    ),
]


@pytest.mark.parametrize(("text", "arguments"), TWINS)
def test_a_file_and_its_python_twin_are_one_spec(text: str, arguments: dict[str, Any]) -> None:
    of_file, of_python = load(text), ag.AttentionSpec("a", (4, 2), 64, **arguments)
    assert of_file.fingerprint == of_python.fingerprint
    for spec in (of_file, of_python):
        again = load(dump(spec))
        assert again == spec
        assert dump(again) == dump(spec)


def test_head_dim_as_a_table() -> None:
    spec = load('name = "a"\nheads = { q = 4, kv = 4 }\nhead_dim = { qk = 192, v = 128 }')
    assert spec.head_dim == ag.HeadDim(192, 128)
    assert load(dump(spec)) == spec


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_loads_and_round_trips(path: Path) -> None:
    spec = load(path)
    assert spec.name == path.stem
    assert load(dump(spec)) == spec
    assert load(str(path)).doc == spec.doc


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_any_doc_survives(doc: str) -> None:
    try:
        text = dump(ag.AttentionSpec("a", 4, 64, doc=doc))
    except SpecError:
        assert any(0xD800 <= ord(c) < 0xE000 for c in doc)
        return
    assert load(text).doc == doc


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (MINIMAL + 'maks = "causal"', "did you mean `mask`"),
        (MINIMAL + "[tensor]\nx = 1", "did you mean `tensors`"),
        ('name = "a"\nhead_dim = 64\nheads = { q = 4, kvs = 2 }', "did you mean `kv`"),
        ('name = "a"\nhead_dim = 64\nheads = { q = 4 }', "kv = None"),
        ('name = "a"\nhead_dim = { qk = 4, w = 2 }\nheads = { q = 4, kv = 4 }', "unknown key `w`"),
        (MINIMAL + "[blocks]\nkvs = 3", "did you mean `kv`"),
        (MINIMAL + "[blocks]\nq = 100", "power of two"),
        (MINIMAL + "[params]\nW = 3", "params.W"),
        (MINIMAL + '[params]\nW = "int3"', "did you mean `int32`"),
        (MINIMAL + '[tensors]\nx = { shape = ["H"], dtpe = "fp32" }', "did you mean `dtype`"),
        (MINIMAL + '[tensors]\nx = { shape = ["Q"], dtype = "fp32" }', "tensors.x"),
        (MINIMAL + '[tensors]\nx = { shape = [0], dtype = "fp32" }', "positive integer"),
        (MINIMAL + '[tensors]\nx = { shape = "H", dtype = "fp32" }', "no shape"),
        (MINIMAL + '[tensors]\nx = { shape = ["H"], dtype = "fp64" }', "fp16"),
        (MINIMAL + '[tensors]\nx = { shape = ["H"] }', "declares no tensor"),
        (MINIMAL + "[tensors]\nx = 3", "declares no tensor"),
        (MINIMAL + "mask = 3", "text in quotes"),
        (MINIMAL + "sink = 3", "off_by_one"),
        (MINIMAL + "score = [3]", "score[0]"),
        (MINIMAL + "score = 3", "a list of them"),
        (MINIMAL + "params = 3", "no table"),
        (MINIMAL + "tensors = [1]", "no table"),
        (MINIMAL + 'tf32 = "yes"', "tf32"),
        (MINIMAL + "doc = 3", "doc"),
        (MINIMAL + "scale = nan", "scale"),
        (MINIMAL + "dtype = 16", "dtype"),
        (MINIMAL + 'mask = "kv <= head"', "unknown name `head`"),
        (MINIMAL + 'normalizer = "softmx"', "did you mean `softmax`"),
        ("name = 'a'\nhead_dim = 64", "`heads` is missing"),
        ("head_dim = 64\n[heads]\nq = 4\nkv = 2", "`name` is missing"),
        ("= 3", "not TOML"),
        ("a = " + "[" * 5000, "not TOML"),
        ("a = " + "9" * 5000, "not TOML"),
    ],
)  # fmt: skip
def test_errors_say_the_place_and_the_way_out(text: str, says: str) -> None:
    with pytest.raises(SpecError) as info:
        load(text)
    assert says in str(info.value)
    assert info.value.remedy


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path / "missing.toml")
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('name = "é"'.encode("latin-1"))
    with pytest.raises(SpecError, match="not UTF-8"):
        load(latin)
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (LARGEST_FILE + 1))
    with pytest.raises(SpecError, match="1 MiB"):
        load(huge)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(MINIMAL + 'mask = "kv <= head"')
    with pytest.raises(SpecError, match=r"wrong.toml, mask, column 7"):
        load(wrong)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_text("\ufeff" + MINIMAL, encoding="utf-8")
    assert load(path).name == "a"


@pytest.mark.parametrize(
    "arguments",
    [
        {"mask": lambda b, h, q, kv: q >= kv}, {"score": lambda s, b, h, q, kv: s * 2}, {"sink": [0.0] * 4},
        {"mask": ag.causal() & (lambda b, h, q, kv: q > 3)},
    ],
)  # fmt: skip
def test_what_only_python_has_cannot_be_dumped(arguments: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="no form in TOML"):
        dump(ag.AttentionSpec("a", 4, 64, **arguments))
