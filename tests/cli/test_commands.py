"""Each command does what its help says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from attngen.cli.run import Verdict, _compare
from attngen.language import toml
from tests.cli.conftest import Run

STAGES = {
    "graph": "normalize",
    "schedule": "for q_tile in range(",
    "plan": "registers",
    "source": "def attention(",
}


def test_generate_writes_a_file(attngen: Run, examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "kernel.py"
    done = attngen("generate", examples / "mistral_7b.toml", "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    compile(out.read_text(), str(out), "exec")
    assert out.read_text() == attngen("generate", examples / "mistral_7b.toml").stdout


def test_generate_says_how_to_make_the_file_again(attngen: Run, examples: Path) -> None:
    spec = examples / "causal.toml"
    plan = "block_m=64,num_warps=4"
    text = attngen("generate", spec, "-t", "a100", "--dtype", "fp16", "--plan", plan).stdout
    assert f"attngen generate {spec} --target a100 --dtype fp16 --plan {plan}" in text
    assert '"block_m": 64' in text


def test_generate_json(attngen: Run, examples: Path) -> None:
    made = json.loads(attngen("generate", examples / "causal.toml", "--json").stdout)
    assert made["file"] is None
    assert made["plan"]["arch"] == "sm_90"
    assert "def attention(" in made["text"]


@pytest.mark.parametrize("stage", STAGES)
def test_explain_prints_a_stage(attngen: Run, examples: Path, stage: str) -> None:
    done = attngen("explain", examples / "gemma2.toml", "--stage", stage)
    assert done.returncode == 0, done.stderr
    assert STAGES[stage] in done.stdout


def test_explain_compares_with_full_attention(attngen: Run, examples: Path) -> None:
    done = attngen("explain", examples / "mistral_7b.toml", "--target", "a100", "--seqlen", "16384", "--json")
    explained = json.loads(done.stdout)
    assert [cost["seqlen"] for cost in explained["costs"]] == [2048, 4096, 8192, 16384]
    for cost in explained["costs"]:
        assert cost["tiles_masked"] <= cost["tiles"] < cost["tiles_of_full_attention"]
        assert cost["flops"] < cost["flops_of_full_attention"]
        assert 0 < cost["us"] < cost["us_of_full_attention"]
    first, last = explained["costs"][0], explained["costs"][-1]
    # eight times the length: the window costs about eight times as much, full attention sixty-four times
    assert last["flops_of_full_attention"] == 64 * first["flops_of_full_attention"]
    assert last["flops"] < 32 * first["flops"]
    assert explained["plan"]["reasons"]
    assert explained["rivals"]


def test_explain_in_words(attngen: Run, examples: Path) -> None:
    text = attngen("explain", examples / "packed_documents.toml").stdout
    for word in ("Cost by length", "Plan for", "best first", "made-up values: doc_id"):
        assert word in text


@pytest.mark.parametrize("options", [[], ["--tiles"], ["--graph"], ["--mask", "-n", "300", "-m", "77"]])
def test_show_in_the_terminal(attngen: Run, examples: Path, options: list[str]) -> None:
    done = attngen("show", examples / "streaming_llm.toml", *options)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5


@pytest.mark.parametrize("options", [["-n", "300"], ["--tiles"], ["--graph"]])
def test_show_draws(attngen: Run, examples: Path, tmp_path: Path, options: list[str]) -> None:
    out = tmp_path / "picture.png"
    done = attngen("show", examples / "longformer.toml", "-o", out, *options)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["picture.png"]


def test_show_takes_one_view(attngen: Run, examples: Path) -> None:
    assert attngen("show", examples / "causal.toml", "--tiles", "--graph").returncode == 2


def test_run_agrees(attngen: Run, examples: Path) -> None:
    done = attngen("run", examples / "gpt_oss_20b.toml", "-n", "77", "--heads", "4,2")
    assert done.returncode == 0, done.stderr
    assert "agrees with the oracle" in done.stdout


def test_run_json(attngen: Run, examples: Path) -> None:
    arguments = ("-n", "70", "-m", "33", "--heads", "2,1", "-p", "prefix=20", "--dtype", "fp16", "--json")
    verdict = json.loads(attngen("run", examples / "prefix_lm.toml", *arguments).stdout)
    assert verdict["agrees"] is True
    assert verdict["dtype"] == "fp16"
    assert verdict["error"] <= verdict["allowed"]
    assert len(verdict["where"]) == 4


def test_a_wrong_element_is_seen(examples: Path) -> None:
    spec = toml.load(examples / "causal.toml").replace(heads=2)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 2, 40, 64)) for _ in range(3))
    out, lse = __import__("attngen").reference(spec, q, k, v)

    class Lse:  # the two steps that a tensor takes to NumPy
        def double(self) -> Lse:
            return self

        cpu = double

        def numpy(self) -> np.ndarray:
            return lse

    error, allowed, lse_error = _compare(spec, [q, k, v], {}, "bf16", out, Lse())
    assert (error <= allowed).all()
    assert lse_error == 0.0
    out[0, 1, 7, 3] += 0.05
    error, allowed, _ = _compare(spec, [q, k, v], {}, "bf16", out, Lse())
    assert [tuple(place) for place in np.argwhere(error > allowed)] == [(0, 1, 7, 3)]
    out[0, 0, 0, 0] = np.nan
    assert not (_compare(spec, [q, k, v], {}, "bf16", out, Lse())[0] <= allowed).all()


def test_a_verdict_needs_the_lse_too() -> None:
    good = Verdict("x", "fp16", "", "triton", 0.0, 1.0, (0, 0, 0, 0), 0.0, 0.0)
    assert good.agrees
    assert not Verdict("x", "fp16", "", "triton", 0.0, 1.0, (0, 0, 0, 0), 1.0, 0.0).agrees


def test_targets(attngen: Run) -> None:
    rows = json.loads(attngen("targets", "--json").stdout)
    assert {"sm_80", "sm_90", "gfx942", "avx512_bf16", "avx2", "neon"} <= {row["arch"] for row in rows}
    shown = attngen("targets").stdout
    assert "h100" in shown
    assert "avx512_bf16" in shown


def test_doctor(attngen: Run, tmp_path: Path) -> None:
    report = json.loads(attngen("doctor", "--json").stdout)
    found = {finding["subject"]: finding for finding in report["findings"]}
    assert report["healthy"] is True
    assert str(tmp_path) in found["cache"]["detail"]
    assert {"attngen", "Python", "torch", "triton", "GPU", "CPU", "C++ compiler"} <= set(found)
    assert "vectors of" in found["CPU"]["detail"]
    assert found["C++ compiler"]["state"] == "ok"


def test_doctor_without_a_compiler(attngen: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    report = json.loads(attngen("doctor", "--json").stdout)
    (finding,) = (one for one in report["findings"] if one["subject"] == "C++ compiler")
    assert report["healthy"] is True, "there is much to do without one"
    assert finding["state"] == "warn"
    assert "attngen[zig]" in finding["remedy"]


def test_run_natively(attngen: Run, examples: Path) -> None:
    done = attngen("run", examples / "gpt_oss_20b.toml", "-n", "1000", "--heads", "4,2", "--backend", "cpu")
    assert done.returncode == 0, done.stderr
    assert "(cpu): agrees with the oracle" in done.stdout


def test_the_machine_decides_where_a_kernel_runs(attngen: Run, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    arguments = ("run", examples / "causal.toml", "-n", "33", "--heads", "1", "--json")
    assert json.loads(attngen(*arguments).stdout)["backend"] == "cpu"
    asked = json.loads(attngen(*arguments, "--backend", "triton").stdout)
    assert (asked["backend"], asked["agrees"]) == ("triton interpreter", True)


def test_generate_for_a_cpu(attngen: Run, examples: Path, tmp_path: Path) -> None:
    done = attngen("generate", examples / "mistral_7b.toml", "--target", "cpu", "-o", tmp_path / "mistral.cpp")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "mistral.cpp").read_text()
    assert 'extern "C"' in text
    assert "attngen generate" in text


def test_the_gallery_check_sees_a_change(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    from attngen.cli import gallery

    (tmp_path / "examples").mkdir()
    (tmp_path / "generated").mkdir()
    (tmp_path / "examples" / "causal.toml").write_text((examples / "causal.toml").read_text())
    monkeypatch.setattr(gallery, "repository", lambda: tmp_path)
    gallery.write_gallery()
    gallery.check_gallery()
    made = tmp_path / "generated" / "h100" / "causal.py"
    made.write_text(made.read_text() + "\n")
    with pytest.raises(typer.Exit):
        gallery.check_gallery()
    gallery.write_gallery()
    (tmp_path / "generated" / "h100" / "gone.py").write_text("")
    with pytest.raises(typer.Exit):
        gallery.check_gallery()
    gallery.write_gallery()
    gallery.check_gallery()


def test_explain_for_a_cpu(attngen: Run, examples: Path) -> None:
    done = attngen("explain", examples / "mistral_7b.toml", "--target", "avx2", "-n", "512")
    assert done.returncode == 0, done.stderr
    assert "mistral_7b in bf16 on x86-64-v3 (avx2)" in done.stdout
    assert "at a nominal 3 GHz" in done.stdout
    assert "Measured" not in done.stdout
    stage = attngen("explain", examples / "mistral_7b.toml", "--target", "cpu", "--stage", "source")
    assert 'extern "C"' in stage.stdout


def test_explain_measures_this_machine(attngen: Run, examples: Path) -> None:
    arguments = (examples / "gpt_oss_20b.toml", "--target", "cpu", "-n", "512", "--dtype", "fp32")
    shown = attngen("explain", *arguments, "--measure")
    assert shown.returncode == 0, shown.stderr
    assert "Measured (CPU time of one thread" in shown.stdout
    found = json.loads(attngen("explain", *arguments, "--measure", "--json").stdout)
    measured, cost = found["measured"], found["costs"][-1]
    assert measured["seqlen"] == cost["seqlen"] == 512
    assert measured["gflops"] == pytest.approx(cost["flops"] / measured["ms"] * 1e-6)
    assert 0.02 < measured["share_of_peak"] <= 1.1
    refused = attngen("explain", examples / "gpt_oss_20b.toml", "--measure")
    assert refused.returncode == 2
    assert "use the target cpu" in refused.stderr


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_made_up_tensors_have_the_dtypes_of_the_spec(attngen: Run, tmp_path: Path, dtype: str) -> None:
    spec = tmp_path / "table.toml"
    tensors = f'[tensors]\ntable = {{ shape = ["H", "N"], dtype = "{dtype}" }}\n'
    spec.write_text(f'name = "table"\nheads = 2\nhead_dim = 32\nscore = "score + table[h, kv]"\n{tensors}')
    ran = attngen("run", spec, "-n", "64", "--backend", "cpu")
    assert ran.returncode == 0, ran.stderr
    measured = attngen("explain", spec, "--target", "cpu", "-n", "64", "--measure")
    assert measured.returncode == 0, measured.stderr
