"""Cases are values: rebuilt from their numbers, as JSON, as scripts. And nothing of the language is left out."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attngen as ag
from attngen.fuzz import cases
from attngen.fuzz.cases import Case, pruned, random_case, trees_of
from attngen.fuzz.expressions import OPERATIONS, parts
from attngen.fuzz.script import build_spec, script
from attngen.fuzz.vocabulary import MASKS, SCORES, Names
from attngen.language import vocabulary

DRAWN = [random_case(5, index) for index in range(0, 3000, cases.INTERPRETED.shapes_a_spec)]


def test_every_entry_of_the_vocabulary_is_drawn() -> None:
    """A new mask or score joins attngen/fuzz/vocabulary.py."""
    assert set(MASKS) == set(vocabulary.MASKS)
    assert set(SCORES) == set(vocabulary.SCORES)
    exported = {name for name in ag.__all__ if name.islower() and not name.startswith("_")}
    verbs = {"build", "compile", "explain", "generate", "reference", "schedule", "tune"}
    verbs |= {"find_target", "load_targets"}
    assert set(MASKS) | set(SCORES) | {"sigmoid"} == exported - verbs
    used = Counter(name for case in DRAWN for name in _entries(case))
    assert set(used) == set(MASKS) | set(SCORES), "and turns up in the stream"


def _entries(case: Case) -> list[str]:
    found: list[str] = []
    todo: list[Any] = [case.mask, *case.scores]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            if node[0] == "vocabulary":
                found.append(node[1].partition("(")[0])
            elif node[0] not in ("mod", "text"):
                todo += node[1:]
    return found


@pytest.mark.parametrize("name", [*MASKS, *SCORES])
def test_every_entry_makes_specs(name: str) -> None:
    for seed in range(12):
        names = Names(np.random.default_rng(seed), (4, 2))
        node = ["vocabulary", (MASKS | SCORES)[name](names)]
        mask, scores = (node, []) if name in MASKS else (None, [node])
        given = {"params": names.params, "tensors": names.tensors, "declared": names.declared}
        build_spec(pruned(Case(heads=(4, 2), mask=mask, scores=scores, batch=2, m=20, n=33, **given)))


def test_every_operation_is_drawn() -> None:
    found: set[str] = set()
    for case in DRAWN:
        todo = [tree for node in (case.mask, *case.scores) for tree in trees_of(node)]
        while todo:
            tree = todo.pop()
            if isinstance(tree, list):
                found.add(tree[0])
                todo += parts(tree)
    assert found >= OPERATIONS | {"load", "chain"}


def test_every_choice_is_drawn() -> None:
    for name, wanted in {
        "heads": cases.HEADS, "dim": cases.DIMS, "target": cases.INTERPRETED.targets, "layout": cases.LAYOUTS,
        "dtype": ("fp32", "fp16", "bf16"), "magnitude": (1.0, 30.0), "kv_batch": (None, 1),
    }.items():  # fmt: skip
        assert {getattr(case, name) for case in DRAWN} == set(wanted), name
    assert {size for case in DRAWN for size in case.blocks} == set(cases.BLOCKS)
    assert any(case.m > case.n for case in DRAWN)
    assert any(case.m < case.n for case in DRAWN)
    ranks = {source.count(",") for case in DRAWN for source in case.tensors.values()}
    assert len(ranks) > 3, "captured tensors of every rank"
    for word in ("off_by_one", "sigmoid", "ag.TensorSpec"):
        assert any(word in script(case, "", []) for case in DRAWN), word


def test_a_case_is_the_same_for_ever() -> None:
    for index in range(60):
        case = random_case(9, index)
        assert random_case(9, index) == case
        assert Case.of(json.loads(json.dumps(case.record()))) == case
    assert random_case(9, 0) != random_case(10, 0)


def test_neighbours_share_their_spec() -> None:
    first, second = random_case(1, 3), random_case(1, 4)
    assert (first.mask, first.scores, first.tensors) == (second.mask, second.scores, second.tensors)
    assert first != second


def test_native_cases_are_larger_and_of_every_dtype() -> None:
    step = cases.NATIVE.shapes_a_spec
    drawn = [random_case(5, index, cases.NATIVE) for index in range(0, 60 * step, 7)]
    assert {case.dtype for case in drawn} == {"fp64", "fp32", "fp16", "bf16"}
    assert {case.target for case in drawn} == {"cpu", "avx2", "sse"}
    assert max(case.m for case in drawn) > 500
    assert max(case.n for case in drawn) > 500
    assert all(case.m * case.n * case.heads[0] * case.batch <= cases.NATIVE.most_pairs for case in drawn)
    first, second = random_case(1, step - 2, cases.NATIVE), random_case(1, step - 1, cases.NATIVE)
    assert (first.mask, first.scores) == (second.mask, second.scores)
    assert any(not case.pinned_dtype for case in drawn if case.dtype == "fp64")
    assert not any(case.pinned_dtype for case in drawn if case.dtype == "fp64"), "a spec has no fp64 of its own"


def test_scripts_are_programs() -> None:
    for case in DRAWN[:200]:
        ast.parse(script(case, "a title", ['out: "quoted" \\ """text"""']))


def test_a_script_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "case.py"
    path.write_text(script(Case(mask=["vocabulary", "causal()"], m=5, n=7), "a title", []))
    done = subprocess.run([sys.executable, str(path)], env=_environment(), capture_output=True, text=True, check=False)
    assert done.stdout == "no failure\n", done.stderr
    with pytest.raises(ag.AttngenError, match="align"):
        exec(script(Case(mask=["vocabulary", "causal(align=3)"], m=5, n=7), "a title", []), {"__name__": "__main__"})


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
