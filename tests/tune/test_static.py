"""Static tuning: compiled for a GPU that is not here, ranked by the model, kept apart from times."""

from __future__ import annotations

from pathlib import Path

import pytest

import attngen as ag
from attngen.records.store import Store

pytest.importorskip("triton")

SPEC = ag.AttentionSpec(name="causal", heads=8, head_dim=32, mask=ag.causal(), dtype="fp16")


def test_compiled_plans_are_ranked_and_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attngen.tune.static.MOST", {"quick": 2})
    path = tmp_path / "store.sqlite"
    (result,) = ag.tune(SPEC, [2048], "a100", static=True, store=path).results
    assert (result.kind, result.tried, result.measured) == ("static", 2, 2)
    assert {"block_m", "block_n", "num_warps", "num_stages"} == set(result.best)
    with Store.open(path, readonly=True) as store:
        rows = store.measurements()
        (decision,) = store.decisions()
    assert {(row.subject.kind, row.subject.device, row.stage) for row in rows} == {("static", "", "static")}
    assert all(row.facts["registers"] > 0 for row in rows)  # type: ignore[operator]
    good = [row for row in rows if row.status == "measured"]
    assert dict(decision.configuration.plan) == dict(min(good, key=lambda row: row.seconds).configuration.plan)
    (again,) = ag.tune(SPEC, [2048], "a100", static=True, store=path).results
    assert (again.measured, again.reused) == (0, 2)
