"""Commands that are refused: exit code 2, one screen on stderr, nothing on stdout, nothing written, at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from attngen.cli import main, output
from tests.cli.conftest import ROOT
from tests.refuse.refused import GOOD, SECONDS, assert_one_screen, files_under
from tests.refuse.specs import SPECS

Refused = Callable[..., str]
USUAL = ("generate", "explain", "show", "run", "build", "check")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.toml"
    path.write_text(GOOD + 'mask = "causal & kv > q - W"\n[params]\nW = "int32"\n')
    return path


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")

    def refused(*args: str | Path, says: str = "") -> str:
        before, start = files_under(tmp_path), time.process_time()
        with pytest.raises(SystemExit) as exit_:
            main([str(arg) for arg in args])
        took, said = time.process_time() - start, capsys.readouterr()
        assert exit_.value.code == 2, said.out + said.err
        assert took < SECONDS, f"{took:.1f} s"
        assert said.out == ""
        assert_one_screen(said.err.replace("\t", " "))
        assert says in " ".join(said.err.split()), said.err
        assert files_under(tmp_path) == before
        return said.err

    return refused


@pytest.mark.parametrize(
    "name", ["name-code", "size-no heads", "key-misspelt", "key-escape sequence", "argument-tensor of code"]
)
@pytest.mark.parametrize("verb", USUAL)
def test_every_command_refuses_a_bad_spec(command: Refused, tmp_path: Path, verb: str, name: str) -> None:
    text, says = SPECS[name]
    spec = tmp_path / "spec.toml"
    spec.write_text(text)
    assert "way out" in command(verb, spec, says=says)


@pytest.mark.parametrize("verb", USUAL)
def test_every_command_refuses_what_is_no_file(command: Refused, tmp_path: Path, verb: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\x00\xff" * 100)
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "loop.toml").symlink_to(tmp_path / "loop.toml")
    for path, says in (
        ("folder", "is a directory"), ("absent.toml", "no such file"), ("../../../absent", "no such file"),
        ("binary.toml", "UTF-8"), ("/dev/zero", "no regular file"), ("loop.toml", "loop.toml"), ("x" * 5_000, "x"),
    ):  # fmt: skip
        command(verb, path, says=says)
    for path in tmp_path.iterdir():
        if path.name == "pipe.toml":
            command(verb, path, says="no regular file")


OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown command": (("generat",), "generat"),
    "code as command": (("$(touch executed)",), "No such command"),
    "unknown option": (("generate", "good.toml", "--maks", "x"), "--maks"),
    "target": (("generate", "good.toml", "-t", "h1000"), "did you mean `h100`"),
    "target of a path": (("generate", "good.toml", "-t", "../../etc/passwd"), "unknown target"),
    "target of jinja": (("generate", "good.toml", "-t", "{{ 7 * 7 }}"), "{{ 7 * 7 }}"),
    "target of control characters": (("generate", "good.toml", "-t", "\x1b[2J"), "\\u001b"),
    "empty target": (("generate", "good.toml", "-t", ""), "unknown target"),
    "dtype": (("generate", "good.toml", "--dtype", "fp8"), "fp8"),
    "plan": (("generate", "good.toml", "--plan", "blok_m=64"), "did you mean `block_m`"),
    "plan of zero": (("generate", "good.toml", "--plan", "block_m=0"), "no positive number"),
    "plan of less": (("generate", "good.toml", "--plan", "block_m=-64"), "no positive number"),
    "plan of a fraction": (("generate", "good.toml", "--plan", "block_m=6.4"), "no positive number"),
    "plan of 10,000 digits": (("generate", "good.toml", "--plan", "block_m=" + "9" * 10_000), "no positive number"),
    "plan of code": (("generate", "good.toml", "--plan", "block_m=__import__('os')"), "no positive number"),
    "plan twice": (("generate", "good.toml", "--plan", "block_m=64,block_m=64"), "twice"),
    "plan without value": (("generate", "good.toml", "--plan", "block_m"), "no value"),
    "plan that does not fit": (("generate", "good.toml", "--plan", "block_m=65536"), "no plan"),
    "no spec": (("generate",), "no spec given"),
    "check without all": (("generate", "good.toml", "--check"), "--all"),
    "all with a spec": (("generate", "good.toml", "--all"), "--all"),
    "stage": (("explain", "good.toml", "--stage", "x"), "x"),
    "no keys": (("explain", "good.toml", "-n", "0"), "--seqlen"),
    "fewer than no keys": (("explain", "good.toml", "-n", "-1"), "--seqlen"),
    "keys of text": (("explain", "good.toml", "-n", "many"), "--seqlen"),
    "huge keys": (("explain", "good.toml", "-n", "9" * 30), "2147483647"),
    "keys with a comma": (("explain", "good.toml", "-n", "8k,"), "--seqlen"),
    "keys in millions": (("explain", "good.toml", "-n", "8m"), "8k is 8192"),
    "why of an unknown field": (("explain", "good.toml", "--why", "blok_m=64"), "did you mean `block_m`"),
    "why of a field of a CPU": (("explain", "good.toml", "--why", "micro_m=2"), "unknown field `micro_m`"),
    "why of a field of a GPU": (("explain", "good.toml", "-t", "cpu", "--why", "num_warps=2"), "unknown field"),
    "why without a value": (("explain", "good.toml", "--why", "block_m"), "--why"),
    "against an unknown device": (("explain", "good.toml", "--against", "h1000"), "h100"),
    "against nothing": (("explain", "good.toml", "--against", ""), "unknown target"),
    "why with a stage": (("explain", "good.toml", "--stage", "plan", "--why", "block_m=64"), "alone"),
    "several lengths measured": (("explain", "good.toml", "-t", "cpu", "-n", "1k,2k", "--measure"), "one at a time"),
    "unknown parameter": (("explain", "good.toml", "-p", "V=3"), "its parameters: W"),
    "parameter without value": (("explain", "good.toml", "-p", "W"), "NAME=NUMBER"),
    "parameter of text": (("explain", "good.toml", "-p", "W=wide"), "NAME=NUMBER"),
    "parameter of a fraction": (("explain", "good.toml", "-p", "W=1.5"), "W"),
    "parameter beyond int32": (("explain", "good.toml", "-p", "W=99999999999"), "W"),
    "parameter of infinity": (("explain", "good.toml", "-p", "W=1e999"), "W"),
    "parameter of 10,000 digits": (("explain", "good.toml", "-p", "W=" + "9" * 10_000), "W"),
    "two pictures": (("show", "good.toml", "--mask", "--tiles"), "one of"),
    "no tile": (("show", "good.toml", "--q-tile", "0"), "--q-tile"),
    "huge tile": (("show", "good.toml", "--q-tile", "99999"), "1024"),
    "head": (("show", "good.toml", "--head", "4"), "0 to 3"),
    "picture of a huge mask": (("show", "good.toml", "-n", "2000000000"), "shorter"),
    "picture of a huge number": (("show", "good.toml", "-n", "9" * 30), "shorter"),
    "format of a picture": (("show", "good.toml", "-o", "mask.bmp"), ".bmp"),
    "run beyond memory": (("run", "good.toml", "-n", "100000000"), "dense"),
    "run a huge batch": (("run", "good.toml", "-b", "100000000"), "dense"),
    "heads": (("run", "good.toml", "--heads", "4,3"), "multiple"),
    "heads of text": (("run", "good.toml", "--heads", "all"), "Q,KV"),
    "heads of three": (("run", "good.toml", "--heads", "4,2,1"), "pair"),
    "backend": (("run", "good.toml", "--backend", "cuda"), "backend"),
    "dtype of a run": (("run", "good.toml", "--dtype", "fp8"), "fp8"),
    "negative seed": (("run", "good.toml", "--seed", "-1"), "--seed"),
    "parameter of a run": (("run", "good.toml", "-n", "16", "-p", "W=1.5"), "W"),
    "target of a build": (("build", "good.toml", "-t", "x"), "unknown target"),
    "plan of a build": (("build", "good.toml", "--plan", "block_m=48"), "no plan"),
    "no queries": (("build", "good.toml", "-m", "0"), "--queries"),
    "nothing to check": (("check",), "no spec given"),
    "target of a check": (("check", "good.toml", "-t", "sm_90,x"), "unknown target"),
    "all with a spec to check": (("check", "good.toml", "--all"), "--all"),
    "no workers": (("check", "good.toml", "--workers", "0"), "--workers"),
    "no cases": (("fuzz", "--cases", "0"), "--cases"),
    "backend of a fuzz": (("fuzz", "--cases", "1", "--backend", "x"), "x"),
    "minutes of text": (("fuzz", "--minutes", "many"), "--minutes"),
}  # fmt: skip


@pytest.mark.parametrize(("args", "says"), OPTIONS.values(), ids=list(OPTIONS))
@pytest.mark.usefixtures("good")
def test_options(command: Refused, args: tuple[str, ...], says: str) -> None:
    command(*args, says=says)


@pytest.mark.parametrize("verb", ["generate", "show"])
def test_where_nothing_is_written(command: Refused, good: Path, tmp_path: Path, verb: str) -> None:
    precious = tmp_path / "precious.png"
    precious.write_text("mine")
    (tmp_path / "folder.png").mkdir()
    for name, target in (
        ("link.png", precious),
        ("dangling.png", tmp_path / "nothing"),
        ("dev.png", Path("/dev/full")),
    ):
        (tmp_path / name).symlink_to(target)
    os.mkfifo(tmp_path / "pipe.png")
    for path, says in (
        ("link.png", "symbolic link"), ("dangling.png", "symbolic link"), ("dev.png", "symbolic link"),
        ("folder.png", "is a directory"), (".", "is a directory"), ("..", "is a directory"), ("/", "is a directory"),
        ("pipe.png", "regular file"), ("/dev/full", "regular file"), ("/dev/null", "regular file"),
        ("absent/x.png", "mkdir -p"), ("precious.png/x.png", "precious.png"), ("../absent/../x/y.png", "mkdir -p"),
        ("x" * 300 + ".png", "xxx"), ("", "directory"),
    ):  # fmt: skip
        command(verb, good, "-o", path, says=says)
    assert precious.read_text() == "mine"


def test_a_name_with_a_null(command: Refused, good: Path) -> None:
    command("generate", good, "-o", "x\x00.py", says="null")
    command("generate", "x\x00.toml", says="null")


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_disk_that_is_full(
    command: Refused, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, step: str
) -> None:
    (tmp_path / "kernel.py").write_text("old")

    def fail(*args: object, **options: object) -> None:
        raise OSError(error, os.strerror(error))

    if step == "replace":
        monkeypatch.setattr(output.os, "replace", fail)
    else:
        real = Path.write_text

        def half(self: Path, text: str, **options: str) -> int:
            real(self, text[:100], **options)
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(Path, "write_text", half)
    command("generate", good, "-o", tmp_path / "kernel.py", says=os.strerror(error))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_behind_stdout(good: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ATTNGEN_CACHE_DIR": str(tmp_path / "cache"), "NO_COLOR": "1"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "attngen", "generate", str(good)],
            env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "No space left" in done.stderr
    assert_one_screen(done.stderr)
