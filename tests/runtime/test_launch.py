"""The launcher against a stub driver: which calls share a kernel, and what the short way passes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def compiled(code: str) -> str:
    """Run Python where Triton compiles instead of interpreting."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def facts() -> Any:
    return json.loads(compiled("from tests.runtime import compiled; compiled.main()").splitlines()[-1])


def test_lengths_batches_strides_and_parameters_share_one_kernel(facts: Any) -> None:
    assert facts["one_kernel_for_everything"] == {"sources": 1, "kernels": 1}
    assert facts["one_emitted_kernel_for_everything"] == {"sources": 1, "kernels": 1, "short": True}


def test_short_way_passes_what_triton_would(facts: Any) -> None:
    for short, same, same_types in facts["short_way_is_right"]["same"]:
        assert short
        assert same
        assert same_types


def test_one_tensor_as_q_k_and_v_is_not_recorded_as_one_argument(facts: Any) -> None:
    assert facts["aliased_inputs"] == {"short": True, "right": True}


def test_short_way_is_left_when_it_would_be_wrong(facts: Any) -> None:
    seen = facts["long_way_when_needed"]
    taken = ("warm", "again", "settled", "replaced", "no_grad")
    left = ("misaligned", "another dtype", "captured changed", "replaced by another", "profiled")
    assert {name: seen[name] for name in taken + left} == dict.fromkeys(taken, True) | dict.fromkeys(left, False)
    assert seen["made anew"], "tensors derived from a changed tensor must be made again"
    assert (seen["kernels"], seen["kernels after misaligned"]) == (1, 2)


def test_short_way_refuses_what_the_long_way_refuses(facts: Any) -> None:
    seen = facts["long_way_when_needed"]
    assert "no backward" in seen["gradient"]
    assert seen["unknown"] == "the spec has no such parameter or tensor"
    assert seen["param"] == "'x' is no int32"
    assert "int32" in seen["range"]


def test_copies_of_the_launcher_are_not_replayed(facts: Any) -> None:
    wanted = {"copied q": False, "same table": True, "other table": False, "changed table": False}
    assert facts["copies_of_the_launcher"] == wanted


def test_parameters_that_are_not_passed_on_as_they_are(facts: Any) -> None:
    seen = facts["parameters_used_otherwise"]
    assert seen["keyed"] == ["W", "temperature"]
    assert (seen["same"], seen["other W"], seen["other temperature"]) == (True, False, False)
    assert seen["passed"] == 8.0
    assert seen["kernels"] == 2, "one for W = 5 and one for W = 16"


def test_tile_lists_are_built_when_something_changed(facts: Any) -> None:
    first, again, changed, settled, forgotten, lengths, replaced, same, original, uncounted, uncounted_again = facts[
        "tile_lists_are_kept"
    ]["builds"]
    assert (first, again) == (1, 1)
    assert (changed, settled, forgotten, lengths) == (2, 2, 3, 4)
    assert (replaced, same, original) == (5, 5, 5)
    assert (uncounted, uncounted_again) == (6, 7), "an inference tensor may have changed"


def test_threads_share_one_emission(facts: Any) -> None:
    assert facts["threads"] == {"emissions": 1, "modules": 1, "shapes": 1}


def test_outputs_keep_the_order_of_q_on_both_ways(facts: Any) -> None:
    seen = facts["outputs"]["seen"]
    plain, moved = seen[:3], seen[3:]
    assert plain == [[[2, 4, 64, 16], [4096, 1024, 16, 1], "torch.bfloat16", [2, 4, 64], "torch.float32"]] * 3
    assert moved == [[[2, 4, 64, 16], [4096, 16, 64, 1], "torch.bfloat16", [2, 4, 64], "torch.float32"]] * 3


def test_cost_of_a_call() -> None:
    """A generous bound, for a loaded machine; `python tests/runtime/launch_cost.py` prints the exact figures."""
    costs = json.loads(
        compiled("import json; from tests.runtime.launch_cost import measure; print(json.dumps(measure()))")
    )
    print({name: f"{cost:.2f} us" for name, cost in costs.items()})
    assert costs["call"] < 25
    assert costs["call"] < costs["Triton's kernel[grid](...), arguments ready"]


def test_runtime_imports_neither_torch_nor_triton() -> None:
    rooms = ", ".join(f"attngen.runtime.{path.stem}" for path in (ROOT / "attngen/runtime").glob("[a-z]*.py"))
    assert (
        compiled(f"import sys, {rooms}, attngen.oracle; print({{'torch', 'triton'}} & set(sys.modules))") == "set()\n"
    )
