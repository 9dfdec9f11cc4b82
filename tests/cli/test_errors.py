"""Errors: one screen on stderr, exit code 2, no traceback, no file left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run

GOOD = 'name = "x"\nheads = 4\nhead_dim = 64\nmask = "causal"\n'


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert 0 < done.stderr.count("\n") <= 45, "an error is at most one screen"
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("mask", "maks"), ["maks", "mask"]),
        (GOOD.replace("causal", "causl"), ["causl", "causal"]),
        (GOOD.replace("causal", "kv <= "), []),
        (GOOD.replace("causal", "__import__('os').system('true')"), []),
        (GOOD.replace("heads = 4", "heads = {q = 4, kv = 3}"), ["3"]),
        (GOOD.replace("64", "-64"), ["-64"]),
        (GOOD.replace("64", '"wide"'), ["head_dim"]),
        ("heads = 4\n", []),
        ("", []),
        ("name = \n", []),
        ("\x00\x01\x02", []),
    ],
    ids=["key", "word", "half", "code", "group", "negative", "type", "incomplete", "empty", "toml", "control"],
)
def test_a_bad_spec(attngen: Run, tmp_path: Path, text: str, words: list[str]) -> None:
    spec, out = tmp_path / "bad.toml", tmp_path / "out.py"
    spec.write_text(text)
    assert_refused(attngen("generate", spec, "-o", out), *words)
    assert not out.exists()


def test_no_such_file(attngen: Run, tmp_path: Path) -> None:
    assert_refused(attngen("generate", tmp_path / "absent.toml"), "absent.toml", "no such file")


def test_a_directory_as_spec(attngen: Run, tmp_path: Path) -> None:
    assert_refused(attngen("explain", tmp_path), "is a directory")


def test_a_binary_file_as_spec(attngen: Run, tmp_path: Path) -> None:
    spec = tmp_path / "picture.toml"
    spec.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe" * 100)
    assert_refused(attngen("generate", spec), "picture.toml")


def test_an_unknown_target(attngen: Run, examples: Path) -> None:
    assert_refused(attngen("generate", examples / "causal.toml", "--target", "h1000"), "h1000", "h100")


def test_an_unknown_part_of_a_plan(attngen: Run, examples: Path) -> None:
    assert_refused(attngen("generate", examples / "causal.toml", "--plan", "blok_m=64"), "blok_m", "block_m")


def test_a_plan_that_does_not_fit(attngen: Run, examples: Path) -> None:
    assert_refused(
        attngen("generate", examples / "gemma2.toml", "-t", "rtx4090", "--plan", "block_m=128,block_n=128,num_stages=4")
    )


def test_an_unknown_parameter(attngen: Run, examples: Path) -> None:
    assert_refused(attngen("run", examples / "prefix_lm.toml", "-n", "16", "--param", "prefx=3"), "prefx", "prefix")


@pytest.mark.parametrize("command", ["generate", "show"])
def test_the_output_is_a_directory(attngen: Run, examples: Path, tmp_path: Path, command: str) -> None:
    target = tmp_path / "there"
    target.mkdir()
    assert_refused(attngen(command, examples / "causal.toml", "-o", target), "is a directory")
    assert list(target.iterdir()) == []


def test_the_output_is_a_link(attngen: Run, examples: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    link = tmp_path / "link.py"
    link.symlink_to(precious)
    assert_refused(attngen("generate", examples / "causal.toml", "-o", link), "symbolic link")
    assert precious.read_text() == "mine"


def test_the_output_has_no_directory(attngen: Run, examples: Path, tmp_path: Path) -> None:
    assert_refused(attngen("generate", examples / "causal.toml", "-o", tmp_path / "a" / "b.py"), "mkdir -p")
    assert not (tmp_path / "a").exists()


def test_a_failure_leaves_the_old_file(attngen: Run, examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "kernel.py"
    out.write_text("old")
    assert_refused(attngen("generate", examples / "causal.toml", "-t", "nothing", "-o", out))
    assert out.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["kernel.py"]


def test_an_unknown_command(attngen: Run) -> None:
    done = attngen("generat")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_all_takes_no_spec(attngen: Run, examples: Path) -> None:
    assert_refused(attngen("generate", examples / "causal.toml", "--all"), "--all")
