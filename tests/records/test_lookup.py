"""Which decision a call gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attngen.records.lookup import decisions_for
from attngen.records.row import Configuration
from attngen.records.store import Store
from tests.records.kit import SUBJECT, decision


def plan(block_m: int) -> Configuration:
    return Configuration({"block_m": block_m, "block_n": 32}, "", "", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATTNGEN_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("ATTNGEN_TUNED", raising=False)
    return tmp_path / "records.sqlite"


def ask(decode: bool = False, device: str = SUBJECT.device, dtype: str = "bf16") -> object:
    found = decisions_for(SUBJECT.spec, dtype, SUBJECT.target, device, decode)
    return found[0].configuration.plan["block_m"] if found else None


def test_nothing_was_tuned(cache: Path) -> None:
    assert ask() is None
    assert not cache.exists()


def test_the_longest_class_counts(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open() as store:
        for seqlen, block_m in ((1024, 1), (8192, 2), (512, 3)):
            subject = replace(SUBJECT, seqlen_q=seqlen, seqlen_kv=seqlen)
            store.decide(decision(subject, configuration=plan(block_m)))
        store.decide(decision(replace(SUBJECT, seqlen_q=1, seqlen_kv=65_536), configuration=plan(4)))
        store.decide(decision(replace(SUBJECT, seqlen_kv=8192, batch=64), configuration=plan(5)))
        store.decide(decision(replace(SUBJECT, kind="static", device="", seqlen_kv=99_999), configuration=plan(6)))
    assert ask() == 2
    assert ask(decode=True) == 4
    assert ask(device="") == 6
    assert ask(device="another") is None
    assert ask(dtype="fp16") is None
    monkeypatch.setenv("ATTNGEN_TUNED", "0")
    assert ask() is None


def test_a_directory_that_cannot_be_looked_into_is_a_warning(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", denied)
    with pytest.warns(UserWarning, match="Permission denied"):
        assert ask() is None


def test_what_cannot_be_used_is_a_warning(cache: Path) -> None:
    cache.write_text("damaged")
    with pytest.warns(UserWarning, match="tuned plans are left out"):
        assert ask() is None
    assert cache.read_text() == "damaged"
    cache.unlink()
    with Store.open() as store:
        store.decide(decision(configuration=Configuration({"block_z": 3}, "", "", "")))
    with pytest.warns(UserWarning, match="block_z"):
        assert ask() is None
