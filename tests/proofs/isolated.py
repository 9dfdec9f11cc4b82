"""Proofs of one case in a process of its own.

How z3 searches depends on all that its process has seen before, and so does whether it ends: after other proofs, or
under another seed of Python's hashes, one of a thousand is lost. Each case starts from the same state.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection

from tests.proofs.cases import CASES, SHAPES, emitted, prover

LIMIT_S = 300.0
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.proofs.isolated"])


def unproven(name: str) -> list[str]:
    """What could not be proven of a case, a line each."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "0"  # of the server, which is started once
    try:
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        child = _CONTEXT.Process(target=_prove, args=(name, theirs))
        child.start()
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
    theirs.close()
    try:
        if not ours.poll(LIMIT_S):
            return [f"{name}: no end after {LIMIT_S:g} s"]
        found: list[str] = ours.recv()
        return found
    except EOFError:
        return [f"{name}: the proving process died"]
    finally:
        child.kill()
        child.join()


def _prove(name: str, answer: Connection) -> None:
    case, wrong = CASES[name], []
    for shape in SHAPES:
        made = emitted(case, shape)
        if made.schedule.tile_list != case.listed(shape):
            wrong.append(f"{name}, {shape}: a list of tiles is not what was expected: {made.schedule.why_list}")
        elif not made.schedule.tile_list:
            wrong += [f"{name}, {shape}: {refuted}" for refuted in prover(made).refutations()]
    answer.send(wrong)
