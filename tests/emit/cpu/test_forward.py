"""The text of emitted C++: what is absent when unused, what a reader finds, and a file that stands alone."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

import attngen as ag
from attngen import pipeline
from attngen.emit.cpu.interface import Meaning
from attngen.expr.op import LEAVES, Op
from attngen.graph.legality import REDUCED
from attngen.pipeline import Generated

# what looks like a call and is none of a function of the file
TYPES = frozenset(
    "real whole int int32_t int64_t uint16_t uint32_t uint64_t alignof sizeof decltype static_cast for if while return "
    "aligned alignas asm vector_size aligned_alloc free defined tile call operator".split()
)
ARCHES = ["avx512_bf16", "avx512", "avx2", "sse", "neon"]


def made(arch: str = "avx2", dtype: str = "fp32", seqlen_q: int | None = None, **more: Any) -> Generated:
    spec = ag.AttentionSpec("variant", **({"heads": (4, 2), "head_dim": 64} | more))
    return pipeline.generate(spec, arch, dtype=dtype, seqlen_q=seqlen_q)


def test_both_dialects_spell_every_operation() -> None:
    from attngen.emit.cpu.dialect import scalar_dialect, vector_dialect

    for dialect in (scalar_dialect(repr), vector_dialect(repr)):
        assert set(Op) - LEAVES - {Op.LOAD} - REDUCED <= dialect.covers()


def test_a_variant_without_features_has_no_text_of_them() -> None:
    text = made().text
    for word in ("gather(", "floor_div(", "sin(", "exp2(", "sink", "tile_indices", "shared", "_mm", "row.h", "bf16"):
        assert word not in re.sub("//.*", "", text), word


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16", "fp64"])
def test_lines_are_short_and_functions_are_used(arch: str, dtype: str) -> None:
    for seqlen in (None, 1):
        mask = ag.causal() & ag.sliding_window(100)
        text = made(arch, dtype, seqlen, mask=mask, score=[ag.softcap(20.0), ag.alibi()]).text
        assert not [line for line in text.splitlines() if len(line) > 120]
        code = re.sub("//.*", "", text)
        defined = set(re.findall(r"^(?:INL|NOINLINE) [\w<>]+ &?(\w+)\(", code, re.M))
        for name in defined:
            assert len(re.findall(rf"\b{name}\b", code)) > 1, f"{name} is defined and not called"
        known = defined | set(re.findall(r'^extern "C" \w+ (\w+)\(', code, re.M)) | TYPES
        called = set(re.findall(r"(?<![.>\w])([a-z]\w*)(?:<\w+>)?\(", code[code.index("namespace {") :]))
        assert {name for name in called if not name.startswith("__")} <= known


def test_pairs_of_bf16_only_where_the_cpu_has_them() -> None:
    assert "vdpbf16ps" in made("avx512_bf16", "bf16").text
    assert "vdpbf16ps" in made("avx512_bf16", "bf16", 1).text
    assert "vdpbf16ps" not in made("avx512", "bf16").text
    assert "vdpbf16ps" not in made("avx512_bf16", "fp16").text
    assert "vdpbf16ps" not in made("avx512_bf16", "bf16", head_dim=65).text  # no whole pairs


def test_scale_lives_in_the_queries() -> None:
    """A causal kernel has nothing to do with a score but compare it."""
    text = made(mask=ag.causal()).text
    assert f"* {0.125 * 1.4426950408889634!r}f" in text
    body = text[text.index("INL vf score_of(") :]
    assert body[: body.index("\n}")].count(";") == 3  # keep, the choice, and return


def test_the_interface_is_the_struct() -> None:
    generated = made(mask="kv <= q + W", score=ag.bias(_table()), params={"W": "int32"}, sink="off_by_one")
    interface = generated.interface
    assert interface is not None
    struct_text = re.search(r"struct Call \{(.*?)\n\};", generated.text, re.S)
    assert struct_text is not None
    declared = re.findall(r"[ *](\w+);(?:  //|\n)", struct_text.group(1) + "\n")
    assert declared == [field.member for field in interface.fields]
    assert struct.calcsize(interface.format) == 8 * len(interface.fields)
    assert [field.name for field in interface.fields if field.meaning is Meaning.PARAM] == ["W"]


def _table() -> Any:
    import torch

    return torch.zeros(4, 1, 33)


def test_names_of_users_cannot_collide() -> None:
    params = {"int": "int32", "batch": "int32"}
    spec = ag.AttentionSpec("x", heads=1, head_dim=16, mask="kv <= q + int & kv < batch", params=params)
    text = pipeline.generate(spec, "avx2", dtype="fp32").text
    assert "int64_t int_;" in text and "int64_t batch_;" in text


def test_a_text_of_a_user_stays_in_the_comment() -> None:
    spec = ag.AttentionSpec("x", heads=1, head_dim=16, doc='ends */ here\n#error no\n"quotes" \\')
    text = pipeline.generate(spec, "avx2", dtype="fp32").text
    assert all(line.startswith("//") for line in text[: text.index("#include")].splitlines())
    assert "\n#error" not in text


@pytest.mark.parametrize("seqlen_q", [None, 1])
def test_the_file_stands_alone(seqlen_q: int | None, tmp_path: Path) -> None:
    """Compiled with every warning, without the C++ runtime, into a C program."""
    text = made("avx2", "fp32", seqlen_q, mask=ag.causal(), score=ag.softcap(5.0)).text
    assert set(re.findall(r"#include <(.*)>", text)) == {"stdint.h", "stdlib.h"}
    (tmp_path / "kernel.cpp").write_text(text)
    (tmp_path / "main.c").write_text(
        "#include <stdint.h>\n#include <stdlib.h>\n"
        "int attention(const float *, const float *, const float *, float *, float *, int64_t, int64_t, int64_t);\n"
        "int main(void) {\n"
        "  float *q = calloc(4 * 3 * 64, 4), *kv = calloc(2 * 5 * 64, 4), *out = calloc(4 * 3 * 64, 4), lse[12];\n"
        "  for (int i = 0; i < 2 * 5 * 64; i++) kv[i] = 1;\n"
        "  return attention(q, kv, kv, out, lse, 1, 3, 5) || out[0] != 1 || lse[2] < 1.6f || lse[2] > 1.61f;\n}\n"
    )
    flags = ["-O1", "-march=x86-64-v3", "-Wall", "-Werror"]
    run = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
    subprocess.run(["g++", "-std=c++17", *flags, "-c", "kernel.cpp"], **run)  # type: ignore[call-overload]
    subprocess.run(["gcc", *flags, "main.c", "kernel.o", "-o", "main", "-lm"], **run)  # type: ignore[call-overload]
    subprocess.run(["./main"], **run)  # type: ignore[call-overload]


@pytest.mark.skipif(shutil.which("clang++") is None, reason="needs clang++")
@pytest.mark.parametrize("dtype", ["fp64", "fp32", "bf16"])
def test_clang_takes_conditions_of_rows(tmp_path: Path, dtype: str) -> None:
    """The result of comparing vectors has a type of its own there."""
    spec = ag.AttentionSpec("rows", 1, 16, score="where(q, score, -inf)")
    source = tmp_path / "kernel.cpp"
    source.write_text(pipeline.generate(spec, "avx2", dtype=dtype).text)
    command = ["clang++", "-std=c++17", "-march=x86-64-v3", "-fsyntax-only", "-w", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
