"""``attngen.tune.replay``: a recorded sweep again, without hardware: search, stopping, resuming, decision, report."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from attngen.records.store import Store
from attngen.tune.effort import effort_of
from attngen.tune.measurer import Submit
from attngen.tune.recorded import Recorded, Replay
from attngen.tune.result import Result
from attngen.tune.session import opened, submitting, sweep
from attngen.tune.sweep import Report


def replay(
    path: Path | str,
    store: Store | Path | str,
    *,
    effort: str = "quick",
    budget_s: float | None = None,
    executor: Executor | None = None,
    progress: Report | None = None,
    processes: bool = False,
    pause_s: float = 0.0,
) -> Result:
    """Sweep over what ``path`` has recorded, with its times. StoreError names the line that is wrong.

    ``processes``: the turns come from worker processes, as real ones do, each after ``pause_s`` seconds; else they
    are looked up here. Without ``budget_s`` there is none, and the result depends on the file alone.
    """
    measurer, chosen = Replay(Path(path), pause_s), effort_of(effort)
    most = float("inf") if budget_s is None else budget_s
    with submitting(executor) as elsewhere, opened(store) as kept:
        submit = elsewhere if processes or executor is not None else _looked_up(Recorded.load(Path(path)))
        return sweep(measurer, kept, submit, chosen, str(path), most, progress)


def _looked_up(recorded: Recorded) -> Submit:
    def submit(job: dict[str, Any]) -> Future[dict[str, Any]]:
        done: Future[dict[str, Any]] = Future()
        done.set_result({} if job["do"] == "compile" else recorded.answer(job))
        return done

    return submit
