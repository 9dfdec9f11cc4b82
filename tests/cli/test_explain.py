"""What `attngen explain` answers beyond the cost: --why, --against, several lengths; in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize("fields", ["block_m=64,block_n=64", "block_m=128,block_n=128,num_stages=4"])
def test_an_answer_is_no_failure(attngen: Run, examples: Path, fields: str) -> None:
    arguments = ("explain", examples / "llama2_70b.toml", "-t", "rtx4090", "-n", "1k", "--why", fields)
    done = attngen(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"Why not {fields.replace(',', ', ')}?" in done.stdout
    why = json.loads(attngen(*arguments, "--json").stdout)["why"]
    assert why["verdict"] in done.stdout
    assert why["fits"] == bool(why["lines"]) == ("num_stages" not in fields)
    assert all(reason in done.stdout for reason in why["reasons"])


def test_devices_side_by_side(attngen: Run, examples: Path) -> None:
    arguments = ("explain", examples / "mistral_7b.toml", "-n", "2k", "--against", "a100, b200")
    done = attngen(*arguments)
    assert done.returncode == 0, done.stderr
    assert "Devices side by side (predicted at 2,048 tokens" in done.stdout
    sides = json.loads(attngen(*arguments, "--json").stdout)["against"]
    assert [side["arch"] for side in sides] == ["sm_90", "sm_80", "sm_100"]
    assert all(side["us"] > 0 and side["choices"] and side["target"] in done.stdout for side in sides)


def test_several_lengths(attngen: Run, examples: Path) -> None:
    done = attngen("explain", examples / "mistral_7b.toml", "-n", "1k,128k")
    assert done.returncode == 0, done.stderr
    assert "time grows" in done.stdout
    assert "131,072" in done.stdout
    assert "65,536" not in done.stdout
