"""What a right result is: the oracle's answer to the small case, and how far apart right ones of the large case are."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attngen.checking.check import Exact
    from attngen.checking.inputs import Case
    from attngen.language.spec import AttentionSpec


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
        import numpy as np

        from attngen.checking.policy import noises, numpy64

        right, case, path = self._exact, self._case, self._folder / "exact.npz"
        lse = {} if right.lse is None else {"lse": right.lse, "plain_lse": numpy64(right.plain_lse)}
        np.savez(path, allow_pickle=False, out=right.out, plain_out=numpy64(right.plain_out), **lse)
        return {"file": str(path), "noises": noises(right.out, numpy64(case.v), right.score_noise, case.dtype)}

    @cached_property
    def allowed(self) -> dict[str, float]:
        """Of the large case, before the rounding noise of its own results is added: what plain PyTorch's error on the
        small case allows."""
        import numpy as np

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
