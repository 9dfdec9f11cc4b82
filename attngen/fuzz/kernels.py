"""One case through a kernel: interpreted, watched, and compared with the oracle."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from attngen.errors import PlanError, TargetError
from attngen.fuzz.cases import Case
from attngen.fuzz.script import build_spec, check_arguments
from attngen.runtime.tensors import is_native

# a subscript that is known to stay below a length is not clamped: the launcher asks for a tensor of that length
_TOO_SHORT = re.compile(
    r"dimension \d+ needs \d+ elements|shape \[.*\], expected \[.*a dimension of 1 broadcasts", re.S
)
_CALL = ("batch", "m", "n", "kv_batch", "layout", "magnitude", "seed")


@dataclass
class Kernels:
    """The last compiled variant is kept: neighbouring cases differ in their calls alone."""

    backend: str | None = None
    _key: str = ""
    _attention: Any = field(default=None, repr=False)
    refused: int = 0

    def problems(self, case: Case) -> list[str]:
        """What is wrong, a line each. What attngen refuses with a reason is counted in ``refused``."""
        import attngen
        from attngen.checking.check import check
        from attngen.checking.quick import quick

        try:
            spec = build_spec(case)
            record = {name: value for name, value in case.record().items() if name not in _CALL}
            key = json.dumps([record, spec.fingerprint])
            if key != self._key:
                self._attention = attngen.compile(spec, backend=self.backend, target=case.target)
                self._key, values = key, {}
            else:
                # the fingerprint says that this kernel serves the new captured tensors as well
                values = dict(spec.captured)
            # one kernel in four is asked about every integer sum and product as well: that takes a third of its time
            native = is_native(case.target)
            watch = contextlib.nullcontext() if native else quick(overflow_checks=int(spec.fingerprint[0], 16) % 4 == 0)
            with watch:
                check(
                    spec, case.batch, case.m, case.n, **check_arguments(case), values=values, attention=self._attention
                )  # fmt: skip
        except (PlanError, TargetError):  # no tiles fit, or this processor lacks the target's instructions
            self.refused += 1
            self._key = ""
        except AssertionError as error:
            return str(error).splitlines() or ["an assertion"]
        except Exception as error:
            if _TOO_SHORT.search(str(error)):
                self.refused += 1
                return []
            return [f"{type(error).__name__}: {error}"]
        return []
