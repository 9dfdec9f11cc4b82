"""The tuned plan of a spec, for those who compile: what a store on this machine has decided."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from attngen.errors import AttngenError
from attngen.planner.overrides import checked_overrides
from attngen.records.row import Decision
from attngen.records.store import Store, default_path

VARIABLE = "ATTNGEN_TUNED"


def decisions_for(
    spec_fingerprint: str, dtype: str, target: str, device: str | None, decode: bool, *, path: Path | None = None
) -> tuple[Decision, ...]:
    """What was decided for calls of this kind; the first one stands for all lengths.

    Kernels are made once for all lengths: of several decisions the one of the longest keys counts, then that of the
    smallest batch. ``device`` None: times of any device; "": static results, which stand for no device. Empty when
    nothing was tuned, or $ATTNGEN_TUNED is 0. A store that cannot be read is a warning: the untuned plan is always
    there.
    """
    path = path or default_path()
    if os.environ.get(VARIABLE) == "0":
        return ()
    asked = (spec_fingerprint, dtype, target, decode)
    try:
        if not path.exists():
            return ()
        with Store.open(path, readonly=True) as store:
            found = [one for one in store.decisions() if _asked(one) == asked and _is_of(one, device)]
        for one in found:
            checked_overrides(one.configuration.plan)
    except (AttngenError, OSError) as error:
        warnings.warn(f"tuned plans are left out: {error}", stacklevel=3)
        return ()
    order = sorted(found, key=lambda one: (one.subject.seqlen_kv, -one.subject.batch, one.at), reverse=True)
    return tuple(order)


def _asked(decision: Decision) -> tuple[str, str, str, bool]:
    subject = decision.subject
    return subject.spec, subject.dtype, subject.target, subject.decode


def _is_of(decision: Decision, device: str | None) -> bool:
    subject = decision.subject
    if device is None:
        return subject.kind == "timed"
    return device == (subject.device if subject.kind == "timed" else "")
