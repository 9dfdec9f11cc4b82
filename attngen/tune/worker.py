"""The process that kernels run in: a kernel that crashes, hangs or eats the memory ends this process, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attngen.runtime.processes import serve

if TYPE_CHECKING:
    from attngen.tune.kernel import Kernel, Loaded
    from attngen.tune.recorded import Recorded

_KEPT = 64
_CALLS = 6
_kernels: dict[str, Kernel] = {}


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """``failed`` says what is wrong with the configuration; else the figures that were asked for."""
    try:
        return _ANSWERS[request["kind"]](request)
    except MemoryError:
        return {"failed": "out of memory"}
    except Exception as error:  # whatever it is, it costs this configuration alone
        return {"failed": f"{type(error).__name__}: {str(error).strip() or 'no message'}"}


def _native(request: Mapping[str, Any]) -> dict[str, Any]:
    """A compiled C++ kernel, checked or timed."""
    from attngen.tune.kernel import Kernel, limit_memory

    limit_memory(int(request["memory"]))
    library = request["library"]
    if library not in _kernels:
        while len(_kernels) >= _KEPT:
            _kernels.pop(next(iter(_kernels)))
        _kernels[library] = Kernel(library, request["entry"], request["target"])
    kernel = _kernels[library]
    if request["do"] == "check":
        return kernel.check(request["small"], request["large"], Path(request["baseline"]))
    return _loaded(kernel, request["name"], request).time(request["least_s"])


_last: list[tuple[Kernel, str, Loaded]] = []


def _loaded(kernel: Kernel, name: str, request: Mapping[str, Any]) -> Loaded:
    """The outputs of a call are allocated once a kernel, not once a turn."""
    for known, case, loaded in _last:
        if known is kernel and case == name:
            return loaded
    made = kernel.on(request["large"])
    _last.append((kernel, name, made))
    del _last[:-_CALLS]
    return made


def _gpu(request: Mapping[str, Any]) -> dict[str, Any]:
    """A Triton kernel, compiled, checked or timed on the device."""
    from attngen.tune.gpu_kernel import answer

    return answer(request)


def _replay(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a recorded sweep has for this configuration: nothing is run."""
    return _recorded(request["file"]).answer(request)


@lru_cache(maxsize=4)
def _recorded(file: str) -> Recorded:
    from attngen.tune.recorded import Recorded

    return Recorded.load(Path(file))


_ANSWERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "native": _native,
    "gpu": _gpu,
    "replay": _replay,
}


if __name__ == "__main__":
    serve(answer, end_with_parent=True)
