"""Claims about emitted text, and that a file lives without attngen."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import attngen as ag
from attngen.pipeline import generate
from tests.oracle.variants import MASKS, SCORES, spec

ROOT = Path(__file__).resolve().parents[2]


def text(mask: object = None, score: object = None, target: str = "h100", **more: object) -> str:
    return generate(spec(mask, score, heads=(8, 2), dim=64, **more), target).text


def body(source: str, loop: int) -> str:
    """The text of the n-th loop over key tiles."""
    return source.split("    for ")[loop + 1].split("\n\n")[0]


def test_full_tiles_have_no_mask_arithmetic() -> None:
    source = text(ag.causal() & ag.sliding_window(256))
    full, edge = body(source, 0), body(source, 1)
    assert "keep" not in full and "in_n" not in full and "tl.where(keep" not in full
    assert "keep" in edge and "tl.where(keep, s" in edge


def test_no_mask_means_one_masked_tail() -> None:
    source = text()
    assert "keep = in_n[None, :]" in body(source, 1)
    assert "offs_m[:, None]" not in source.split("def check_inputs")[0]


def test_hopper_loads_through_descriptors_and_ampere_by_pointers() -> None:
    assert "tl.make_tensor_descriptor" in text(ag.causal(), target="h100")
    assert "tl.make_tensor_descriptor" not in text(ag.causal(), target="a100")


def test_hopper_runs_the_product_with_v_one_tile_late() -> None:
    full = body(text(ag.causal(), target="h100"), 0)
    assert full.index("acc = tl.dot(p, v, acc)") < full.index("p = tl.exp2")
    assert "start_before" not in text(ag.causal(), target="b200")


def test_scale_is_one_multiply_add() -> None:
    source = text(ag.causal())
    assert "tl.exp2(s * qk_scale - new_max[:, None])" in body(source, 0)
    assert source.count("1.4426950408889634") == 0


def test_alibi_is_hoisted() -> None:
    tile = body(text(ag.causal(), ag.alibi()), 0)
    assert "row_bias[:, None]" in tile and "col_bias[None, :]" in tile


def test_meaning_that_is_not_used_leaves_no_trace() -> None:
    source = text(ag.causal())
    for word in ("floor_mod", "check_tensor", "tile_offsets", "sink", " rows = ", "lane"):
        assert word not in source, word


def test_masks_are_tested_at_every_partial_tile() -> None:
    assert text(MASKS["callable"](8, 8)).count("keep =") >= 1


def test_fp32_products_are_ieee_unless_tf32_is_asked_for() -> None:
    assert 'input_precision="ieee"' in generate(spec(ag.causal()), dtype="fp32").text
    assert 'input_precision="tf32"' in generate(spec(ag.causal(), tf32=True), dtype="fp32").text


def test_addresses_of_whole_tensors_are_64_bit() -> None:
    source = text(ag.causal(), ag.bias(torch.zeros(8, 16, 16)), target="a100")
    assert "batch.to(tl.int64) * stride_qb" in source and "first_key = tl.cast(start, tl.int64)" in source
    assert "tl.cast(rows[:, None], tl.int64) * bias_stride_1" in source


@pytest.mark.parametrize("name", [*MASKS, *SCORES])
def test_every_emitted_file_passes_ruff_unchanged(name: str, tmp_path: Path) -> None:
    for dtype in ("bf16", "fp32"):
        for queries in (None, 1):
            mask = MASKS[name](40, 85) if name in MASKS else ag.causal()
            score = SCORES[name](40, 85) if name in SCORES else None
            source = generate(spec(mask, score, heads=(4, 2), dim=(192, 128)), dtype=dtype, seqlen_q=queries).text
            (tmp_path / f"{name}_{dtype}_{queries}.py").write_text(source)
    for command in (["check"], ["format", "--check"]):
        config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *config, str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_header_cannot_be_broken_by_texts() -> None:
    evil = 'ends here """\nimport os\nos.system("x") \\'
    source = generate(ag.AttentionSpec("evil", heads=1, head_dim=16, doc=evil)).text
    module = ast.parse(source)
    assert not any(isinstance(node, ast.Import) and node.names[0].name == "os" for node in ast.walk(module))
    docstring = ast.get_docstring(module)
    assert docstring is not None
    assert 'os.system("x") \\' in docstring, "the text is as its author wrote it"


def test_names_of_the_user_do_not_meet_names_of_the_kernel() -> None:
    made = ag.AttentionSpec(
        "names", heads=2, head_dim=16, mask="kv <= q + acc & kv > q - keep", params={"acc": "int32", "keep": "int32"}
    )
    q = torch.randn(1, 2, 20, 16)
    out = ag.compile(made)(q, q, q, acc=3, keep=7)
    exact, _ = ag.reference(made, q, q, q, acc=3, keep=7)
    np.testing.assert_allclose(out.numpy(), exact, atol=1e-5)


_ALONE = """
import importlib.util, json, os, sys
os.environ["TRITON_INTERPRET"] = "1"
import torch
assert importlib.util.find_spec("attngen") is None, "attngen must not be importable here"
spec = importlib.util.spec_from_file_location("kernel", sys.argv[1])
kernel = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kernel)
torch.manual_seed(0)
q, k, v = (torch.randn(1, heads, n, 16) for heads, n in ((4, 33), (2, 50), (2, 50)))
more = {name: torch.tensor(value) for name, value in json.loads(sys.argv[2]).items()}
out, lse = kernel.attention(q, k, v, return_lse=True, **more)
print(json.dumps([out.tolist(), lse.tolist()]))
"""


@pytest.mark.parametrize(
    "name", ["causal", "sink", "document_cu_seqlens", "bigbird", "vertical_slash", "neighborhood_2d"]
)
def test_an_emitted_file_runs_where_attngen_is_not_installed(name: str, tmp_path: Path) -> None:
    made = spec(MASKS[name](33, 50), blocks=(32, 32), dtype="fp32")
    path = tmp_path / "kernel.py"
    path.write_text(generate(made).text)
    given = {key: tensor.tolist() for key, tensor in made.captured.items()}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-I", "-c", _WITHOUT_ATTNGEN + _ALONE, str(path), json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    out, lse = (np.array(x) for x in json.loads(done.stdout.splitlines()[-1]))
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, heads, n, 16) for heads, n in ((4, 33), (2, 50), (2, 50)))
    exact, exact_lse = ag.reference(made, q, k, v)
    np.testing.assert_allclose(out, exact, atol=2e-6)
    np.testing.assert_allclose(lse, exact_lse, atol=2e-6)


# an installed attngen is hidden as if it had been uninstalled
_WITHOUT_ATTNGEN = """
import sys
class _Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "attngen":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, _Hidden())
import importlib.util
_find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "attngen" else _find(name, package)
"""
