"""Random input follows what a tensor is for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attngen.language import toml
from attngen.sample import Sizes, sample, tensor_roles

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SIZES = Sizes(batch=2, queries=24, keys=40)


def drawn(example: str, name: str) -> np.ndarray:
    return sample(toml.load(EXAMPLES / f"{example}.toml").definition, SIZES, {}).tensors[name]


def test_document_ids_ascend() -> None:
    ids = drawn("packed_documents", "doc_id")
    assert ids.shape == (2, 40)
    assert (np.diff(ids, axis=-1) >= 0).all()


def test_lengths_fit() -> None:
    for name in ("q_len", "kv_len"):
        assert ((drawn("padded_batch", name) >= 1) & (drawn("padded_batch", name) <= 24)).all()


def test_parents_come_before_children() -> None:
    parents = drawn("medusa_tree", "parents")
    assert parents[0] == -1
    assert (parents < np.arange(24)).all()


def test_a_gate_falls() -> None:
    assert (np.diff(drawn("forgetting_transformer", "gate"), axis=-1) <= 0).all()


def test_parameters_have_defaults_and_can_be_given() -> None:
    definition = toml.load(EXAMPLES / "prefix_lm.toml").definition
    assert sample(definition, SIZES, {}).params == {"prefix": 10}
    assert sample(definition, SIZES, {"prefix": 3}).params == {"prefix": 3}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_integer_tensor_of_the_examples_has_a_role(path: Path) -> None:
    definition = toml.load(path).definition
    integers = {tensor.name for tensor in definition.tensors if tensor.dtype.startswith("int")}
    assert integers <= set(tensor_roles(definition))
