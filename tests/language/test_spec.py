"""`AttentionSpec`: its defaults, checks, equality, captured tensors and fingerprint."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import attngen.language as ag
from attngen.errors import SpecError
from attngen.expr.build import SCORE, TRUE, const
from attngen.expr.show import show


def spec(**options: Any) -> ag.AttentionSpec:
    arguments: dict[str, Any] = {"name": "test", "heads": (8, 2), "head_dim": 64}
    return ag.AttentionSpec(**arguments | options)


def test_defaults() -> None:
    definition = spec().definition
    assert definition.mask is TRUE
    assert definition.score is SCORE
    assert definition.scale is const(1 / math.sqrt(64))
    assert definition.normalizer == ag.Softmax()
    assert definition.dtype is None
    assert not definition.tf32
    assert definition.tensors == definition.params == ()


def test_arguments_have_short_forms() -> None:
    assert spec(heads=8).heads == ag.Heads(8, 8)
    assert spec(heads=ag.Heads(8, 1)).heads == ag.Heads(8, 1)
    assert spec(head_dim=(192, 128)).head_dim == ag.HeadDim(192, 128)
    assert spec(dtype=torch.bfloat16).dtype == "bf16"
    assert spec(blocks=128).blocks == ag.Blocks(128, 128)
    assert spec(blocks=(None, 64)).blocks == ag.Blocks(None, 64)


def test_normalisers_and_sinks() -> None:
    assert spec(sink="off_by_one").definition.normalizer == ag.Softmax(0.0)
    declared = spec(sink="s", tensors={"s": (("H",), "fp32")})
    assert declared.definition.normalizer.sink == declared.definition.tensors[0]
    logits = torch.zeros(8)
    captured = spec(sink=logits)
    assert captured.captured["sink"] is logits
    assert show(spec(normalizer="sigmoid").definition.normalizer.bias) == "-log(float(N))"
    assert spec(normalizer=ag.sigmoid(-3)).definition.normalizer.bias is const(-3.0)
    assert show(spec(normalizer=ag.sigmoid("c"), params={"c": "float32"}).definition.normalizer.bias) == "c"


def test_tensors_are_the_declared_then_the_captured_in_order_of_use() -> None:
    ids, table = torch.zeros(9, dtype=torch.int64), np.zeros((8, 5), np.float32)
    made = spec(
        mask=lambda b, h, q, kv: ids[q] == ids[kv],
        score=["score + extra[h]", ag.relative_bias(table)],
        sink=torch.zeros(8),
        tensors={"extra": (("H",), "fp16")},
    )
    assert [ref.name for ref in made.definition.tensors] == ["extra", "ids", "table", "sink"]
    assert list(made.captured) == ["ids", "table", "sink"]
    assert made.captured["ids"] is ids
    assert [ref.captured for ref in made.definition.tensors] == [False, True, True, True]


def test_the_source_of_a_derived_tensor_is_the_argument() -> None:
    made = spec(mask=ag.document(cu_seqlens=torch.tensor([0, 4, 9])))
    assert [ref.name for ref in made.definition.tensors] == ["cu_seqlens"]


def test_sizes_of_one_broadcast_and_others_are_free() -> None:
    made = spec(score=ag.bias(torch.zeros(1, 8, 1, 7)))
    assert made.definition.tensors[0].shape == (1, None, 1, None)


def test_a_size_that_the_mask_unrolls_is_part_of_the_tensor() -> None:
    width = torch.arange(3)
    made = spec(mask=lambda b, h, q, kv: (width == kv.unsqueeze(-1)).any(-1) & (width[b] < 9))
    assert made.definition.tensors[0].shape == (3,)


def test_captured_names_keep_clear_of_declared_ones() -> None:
    made = spec(score=["score + bias[h]", ag.bias(torch.zeros(8, 7, 7))], tensors={"bias": (("H",), "fp32")})
    assert [ref.name for ref in made.definition.tensors] == ["bias", "bias_1"]
    q, tl = torch.zeros(9), torch.zeros(9)
    made = spec(score=lambda s, b, h, i, kv: s + q[i] + tl[i])
    assert list(made.captured) == ["captured_q", "captured_tl"]


def documents(ids: Any) -> Callable[..., Any]:
    return lambda b, h, q, kv: (ids[q] == ids[kv]) & (q >= kv)


def documents_by_another_name(packed: Any) -> Callable[..., Any]:
    return lambda batch, head, row, column: (packed[row] == packed[column]) & (row >= column)


def test_the_fingerprint_is_of_the_content() -> None:
    ids = torch.zeros(64, dtype=torch.int32)
    base = spec(mask=documents(ids))
    same = [
        spec(mask=documents(torch.arange(64, dtype=torch.int32))),  # new values
        spec(mask=documents(torch.zeros(99, dtype=torch.int32))),  # a new length
        spec(mask=documents_by_another_name(ids)),  # other private names
        spec(mask=documents(ids.numpy())),  # NumPy instead of torch
        spec(mask=documents(ids), name="other", doc="text"),
        base.replace(doc="text"),
    ]
    assert {other.fingerprint for other in same} == {base.fingerprint}
    assert len(base.fingerprint) == 64


def test_the_fingerprint_changes_with_the_content() -> None:
    ids = torch.zeros(64, dtype=torch.int32)
    declared = {"ids": (("N",), "int32")}
    variants = [
        spec(),
        spec(mask=documents(ids)),
        spec(mask=documents(ids.long())),
        spec(mask=documents(ids[:1])),  # a size of 1 broadcasts
        spec(mask=lambda b, h, q, kv: (ids[q] == ids[kv]) & (q > kv)),
        spec(mask="document(ids=ids)", tensors=declared),
        spec(mask="document(ids=ids)", tensors={"ids": (("B", "N"), "int32")}),
        spec(mask="document(ids=docs)", tensors={"docs": (("N",), "int32")}),
        spec(heads=8),
        spec(head_dim=128),
        spec(head_dim=(64, 32)),
        spec(dtype="bf16"),
        spec(tf32=True),
        spec(scale=0.5),
        spec(blocks=128),
        spec(sink="off_by_one"),
        spec(sink=torch.zeros(8)),
        spec(normalizer="sigmoid"),
        spec(normalizer=ag.sigmoid(0.0)),
        spec(score=ag.alibi()),
        spec(score=ag.softcap(1.0)),
        spec(score=ag.softcap(2.0)),
        spec(mask=ag.sliding_window("W"), params={"W": "int32"}),
        spec(mask=ag.sliding_window("V"), params={"V": "int32"}),
        spec(mask=ag.document(cu_seqlens=[0, 3])),
        spec(mask=ag.causal()),
        spec(mask="(q - kv) % 7 == q"),
        spec(mask="(q - kv) % 7 == kv"),  # the same operations on others
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    code = (
        "import attngen.language as ag;"
        "print(ag.AttentionSpec('t', (8, 2), 64, mask=ag.causal() & ag.bigbird(), score=ag.alibi()).fingerprint)"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_importing_the_language_needs_neither_torch_nor_triton() -> None:
    code = (
        "import sys, attngen.language as ag;"
        "ag.AttentionSpec('t', 8, 64, mask=lambda b, h, q, kv: q >= kv, score='alibi');"
        "assert not {'torch', 'triton'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_equality_holds_only_with_the_same_captured_tensors() -> None:
    ids = torch.zeros(4, dtype=torch.int32)
    assert spec(mask=documents(ids)) == spec(mask=documents(ids))
    assert spec(mask=documents(ids)) != spec(mask=documents(ids.clone()))
    assert spec(mask=ag.document(ids=[0, 1])) == spec(mask=ag.document(ids=[0, 1]))
    assert spec(mask=ag.document(ids=[0, 1])) != spec(mask=ag.document(ids=[1, 1]))
    assert spec() != spec(name="other")
    assert len({spec(), spec(), spec(mask=ag.causal())}) == 2


def test_frozen() -> None:
    made = spec(params={"W": "int32"}, mask="sliding_window(W)")
    with pytest.raises(AttributeError):
        made.name = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.params["V"] = "int32"  # type: ignore[index]
    given = {"W": "int32"}
    made = spec(params=given, mask="sliding_window(W)")
    given["V"] = "int32"
    assert dict(made.params) == {"W": "int32"}


def test_a_spec_of_vocabulary_travels_between_processes() -> None:
    made = spec(
        mask=ag.causal() & ag.sliding_window("W"),
        score=["score * 2", ag.alibi()],
        params={"W": "int32"},
        normalizer=ag.sigmoid(),
    )
    assert pickle.loads(pickle.dumps(made)) == made


def test_replace() -> None:
    made = spec(mask=ag.causal()).replace(dtype="fp16", heads=4)
    assert made.heads == ag.Heads(4, 4)
    assert made.definition.mask is spec(mask=ag.causal()).definition.mask
    with pytest.raises(SpecError, match="did you mean `mask`"):
        made.replace(maks=None)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "1a"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a" * 65}, "64"),
        ({"name": "for"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"heads": (8, 3)}, "multiple"),
        ({"heads": 0}, "q = 0"),
        ({"heads": True}, "True"),
        ({"heads": (1, 2, 3)}, "pair"),
        ({"head_dim": 0}, "4096"),
        ({"head_dim": 2.5}, "head_dim"),
        ({"head_dim": "64"}, "head_dim"),
        ({"dtype": "fp64"}, "fp16"),
        ({"dtype": "bf61"}, "did you mean"),
        ({"scale": "s"}, "float32"),
        ({"scale": math.inf}, "finite"),
        ({"scale": "W", "params": {"W": "int32"}}, "float32"),
        ({"normalizer": "softmx"}, "did you mean `softmax`"),
        ({"normalizer": "sigmoid", "sink": "off_by_one"}, "no sink"),
        ({"normalizer": "sigmoid(bias=q)"}, "one number a tile"),
        ({"normalizer": 3}, "normalizer"),
        ({"sink": "off_by_on"}, "did you mean `off_by_one`"),
        ({"sink": torch.zeros(8, 2)}, "1 dimensions"),
        ({"sink": [1, 2]}, "logit"),
        ({"blocks": 100}, "power of two"),
        ({"blocks": (8, 8)}, "power of two"),
        ({"blocks": "big"}, "Blocks"),
        ({"params": {"q": "int32"}}, "meaning already"),
        ({"params": {"a b": "int32"}}, "identifier"),
        ({"params": {"if": "int32"}}, "keyword"),
        ({"params": {"W": "int64"}}, "int32"),
        ({"params": ["W"]}, "table"),
        ({"params": {"W": "int32"}}, "never used"),
        ({"tensors": {"t": (("N",), "int32")}}, "never used"),
        ({"tensors": {"tl": (("N",), "int32")}}, "meaning already"),
        ({"tensors": {"W": (("N",), "int32")}, "params": {"W": "int32"}}, "its own name"),
        ({"tensors": {"t": 3}}, "declares no tensor"),
        ({"mask": 3}, "no mask"),
        ({"score": 3}, "no score"),
        ({"mask": ag.alibi()}, "no mask"),
        ({"score": ag.causal()}, "no score"),
        ({"mask": ag.causal}, "fails while it is traced"),
        ({"score": ["score", 3]}, "no score"),
        ({"mask": ag.document(ids=torch.zeros(3, dtype=torch.complex64))}, "complex64"),
        ({"doc": 3}, "doc"),
        ({"tf32": 1}, "tf32"),
    ],
)
def test_wrong_arguments_say_the_value_the_place_and_the_way_out(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError) as info:
        spec(**options)
    assert says in str(info.value)
    assert info.value.place
    assert info.value.remedy
    assert len(str(info.value).splitlines()) < 10


def test_the_step_of_a_score_that_is_wrong_is_named() -> None:
    with pytest.raises(SpecError) as info:
        spec(score=["score + 1", "score + tabel[h]"])
    assert info.value.place.startswith("score[1]")
