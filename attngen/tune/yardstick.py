"""What a right result is: the oracle's answer to the small case, and how far apart right ones of the large case are.

`Yardstick` is made where the tensors are drawn; `judged` holds a kernel to it in the process that may die of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from attngen.checking.check import Exact
    from attngen.checking.inputs import Case
    from attngen.language.spec import AttentionSpec


Array = NDArray[Any]


class KernelFailed(Exception):
    """The kernel itself said that it could not, or it did what none may."""


class Yardstick:
    """For one spec and dtype. ``v``: the values of the large case; ``folder``: where arrays are written."""

    def __init__(self, spec: AttentionSpec, case: Case, v: Any, folder: Path) -> None:
        self._spec, self._case, self._v, self._folder = spec, case, v, folder

    @cached_property
    def _exact(self) -> Exact:
        from attngen.checking.check import exact

        return exact(self._spec, self._case)

    @cached_property
    def expected(self) -> dict[str, Any]:
        """The file of the oracle's answer and plain PyTorch's, and what rounding may cost: see `policy.noises`."""
        from attngen.checking.policy import noises, numpy64

        right, case, path = self._exact, self._case, self._folder / "exact.npz"
        lse = {} if right.lse is None else {"lse": right.lse, "plain_lse": numpy64(right.plain_lse)}
        np.savez(path, allow_pickle=False, out=right.out, plain_out=numpy64(right.plain_out), **lse)
        return {"file": str(path), "noises": noises(right.out, numpy64(case.v), right.score_noise, case.dtype)}

    @cached_property
    def allowed(self) -> dict[str, float]:
        """Of the large case, before the rounding noise of its own results is added: what plain PyTorch's error on the
        small case allows."""
        from attngen.checking.policy import FACTORS, Error, numpy64

        right, factor, v = self._exact, FACTORS[self._case.dtype], numpy64(self._v)
        plain = Error.of(numpy64(right.plain_out), right.out)
        found = {
            "out": factor * plain.largest,
            "out_rms": factor * plain.rms,
            "scores": right.score_noise,
            "v_top": float(np.abs(v).max(initial=0.0)),
            "v_rms": float(np.sqrt(np.mean(v**2))),
        }
        if right.lse is not None:
            lse = Error.of(numpy64(right.plain_lse), right.lse)
            found |= {"lse": factor * lse.largest, "lse_rms": factor * lse.rms}
        return found


def judged(
    run: Callable[[Mapping[str, Any]], dict[str, Array]],
    small: Mapping[str, Any],
    large: Mapping[str, Any],
    baseline: Path,
) -> dict[str, Any]:
    """The small case against the oracle's answer, the large one against the untuned plan's result.

    ``run`` gives the outputs of a case by name. The first kernel that comes, the untuned one, leaves its result of the
    large case at ``baseline``.
    """
    wrong, error = _against_oracle(run(small), small["expected"], small["dtype"])
    if wrong:
        return {"failed": f"wrong: {wrong[0]}"}
    made = run(large)
    if not baseline.exists():
        part = baseline.with_suffix(f".{os.getpid()}")
        with open(part, "wb") as file:
            np.savez(file, allow_pickle=False, **made)
        os.replace(part, baseline)
        return {"error": error}
    with np.load(baseline) as known:
        wrong = _against_untuned(made, dict(known), large["allowed"], large["dtype"])
    return {"failed": f"wrong: {wrong[0]}"} if wrong else {"error": error}


def _against_oracle(made: Mapping[str, Array], expected: Mapping[str, Any], dtype: str) -> tuple[list[str], float]:
    """What is wrong, and the error as a multiple of plain PyTorch's (root mean square)."""
    from attngen.checking.policy import Error, compare

    with np.load(expected["file"]) as exact:
        known = dict(exact)
    noise, noise_rms, noise_lse = expected["noises"]
    wrong = compare("out", made["out"], known["out"], known["plain_out"], dtype, noise, noise_rms)
    if "lse" in made:
        kind = "fp64" if dtype == "fp64" else "fp32"
        wrong += compare("lse", made["lse"], known["lse"], known["plain_lse"], kind, noise_lse, noise_lse)
    mine, theirs = (Error.of(np.asarray(x, np.float64), known["out"]).rms for x in (made["out"], known["plain_out"]))
    return wrong, mine / theirs if theirs else 0.0


def _against_untuned(
    made: Mapping[str, Array], known: Mapping[str, Array], allowed: Mapping[str, Any], dtype: str
) -> list[str]:
    """What is allowed: the errors of plain PyTorch on the small case by the policy's factor, and rounding noise."""
    from attngen.checking.policy import agree, noises

    noise, _, noise_lse = noises(known["out"], np.array([allowed["v_top"]]), allowed["scores"], dtype)
    _, noise_rms, _ = noises(known["out"], np.array([allowed["v_rms"]]), allowed["scores"], dtype)
    wrong = agree("out", made["out"], known["out"], allowed["out"] + noise, allowed["out_rms"] + noise_rms)
    if "lse" in made:
        most, least = allowed["lse"] + noise_lse, allowed["lse_rms"] + noise_lse
        wrong += agree("lse", made["lse"], known["lse"], most, least)
    return wrong
