"""Waiting for jobs: again where an executor loses one, and not for what there is no time for."""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from typing import Any

from attngen.errors import AttngenError
from attngen.tune.measurer import Submit
from attngen.tune.result import TuneError

_TRIES = 4
"""Submissions of one job to an executor that loses it."""
_LONGEST_WAIT_S = 1e6
_TURNS_EACH = 2.5
"""A check, which shares the machine with another one, and the two turns without which nothing is known."""


def answered(submit: Submit, job: dict[str, Any], future: Future[dict[str, Any]]) -> dict[str, Any]:
    """The answer to a job. TuneError where the executor loses it again and again, with the processes it was in."""
    for left in reversed(range(_TRIES)):
        try:
            return future.result()
        except AttngenError:
            raise
        except Exception as error:
            if not left:
                raise TuneError(
                    f"the executor has lost a job {_TRIES} times: {type(error).__name__}: {error}",
                    place="executor",
                    remedy="leave the executor out; the sweep goes on from the store",
                ) from error
            future = submit(job)
    raise AssertionError("not reached")


def is_late(compiling: Future[dict[str, Any]], until: float) -> bool:
    """Waits until then; whether it has not even begun. What has begun is waited for."""
    wait([compiling], max(0.0, min(until - time.monotonic(), _LONGEST_WAIT_S)))
    return not compiling.done() and compiling.cancel()


def fitting(left_s: float, check_s: float) -> int:
    """How many configurations can be checked and timed in time, if a turn takes as long as a check; at least one."""
    return max(1, int(min(left_s / max(check_s, 1e-6) / _TURNS_EACH, 1e6)))
