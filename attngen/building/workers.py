"""A few compiling processes, started when first needed and replaced when the compiler kills them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from attngen.runtime.processes import Processes, ProcessLost, inherited

WORKERS = 2
LIMIT_S = 600.0


class Workers:
    """``ask`` may be called from several threads; each call has a process to itself while it lasts."""

    def __init__(self, count: int = WORKERS) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="attngen-build-", ignore_cleanup_errors=True)
        environment = _environment(Path(self._scratch.name))
        self._processes = Processes("attngen.building.worker", count, environment, LIMIT_S)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The worker's answer; a worker that died or took too long answers with an error."""
        try:
            return self._processes.ask(request)
        except ProcessLost as lost:
            return {"error": f"CompilerDied: {lost}"}

    def close(self) -> None:
        self._processes.close()
        self._scratch.cleanup()


def _environment(scratch: Path) -> dict[str, str]:
    """Ours, without the variables that make Triton interpret, override or skip: they are not part of a job."""
    # Triton's own cache would hold every binary a second time
    return {**inherited(("TRITON_", "MLIR_", "LLVM_")), "TRITON_CACHE_DIR": str(scratch)}
