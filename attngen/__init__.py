"""attngen: one definition of an attention variant, every kernel that runs it.

These are the public verbs. Each is imported when it is first used, so that ``import attngen`` is quick, and
a machine without torch, triton or a GPU can still write specs, plan and generate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attngen.building.build import build
    from attngen.errors import AttngenError
    from attngen.explanation import explain
    from attngen.language.definition import (
        Blocks,
        HeadDim,
        Heads,
    )
    from attngen.language.grids import local_window, neighborhood
    from attngen.language.masks import (
        bigbird,
        block_diagonal,
        block_sparse,
        causal,
        chunked,
        dilated,
        document,
        fixed,
        full,
        global_tokens,
        lengths,
        prefix_lm,
        sink,
        sliding_window,
        strided,
        tree,
        vertical_slash,
    )
    from attngen.language.normalizers import sigmoid
    from attngen.language.scores import (
        alibi,
        bias,
        decay,
        relative_bias,
        softcap,
        t5_bias,
        temperature,
    )
    from attngen.language.spec import AttentionSpec, TensorSpec
    from attngen.oracle import reference
    from attngen.pipeline import compile, generate
    from attngen.targets.load import find_target, load_targets
    from attngen.tiling.view import schedule
    from attngen.tune import tune

__version__ = "0.1.0"

__all__ = [
    # the verbs
    "build",
    "compile",
    "explain",
    "generate",
    "reference",
    "schedule",
    "tune",
    # a spec and its parts
    "AttentionSpec",
    "Blocks",
    "HeadDim",
    "Heads",
    "TensorSpec",
    # masks
    "bigbird",
    "block_diagonal",
    "block_sparse",
    "causal",
    "chunked",
    "dilated",
    "document",
    "fixed",
    "full",
    "global_tokens",
    "lengths",
    "local_window",
    "neighborhood",
    "prefix_lm",
    "sink",
    "sliding_window",
    "strided",
    "tree",
    "vertical_slash",
    # scores and normalisers
    "alibi",
    "bias",
    "decay",
    "relative_bias",
    "sigmoid",
    "softcap",
    "t5_bias",
    "temperature",
    # targets, errors
    "AttngenError",
    "find_target",
    "load_targets",
    "__version__",
]

_HOMES = {
    "attngen.building.build": "build",
    "attngen.errors": "AttngenError",
    "attngen.explanation": "explain",
    "attngen.language.definition": "Blocks HeadDim Heads",
    "attngen.language.grids": "local_window neighborhood",
    "attngen.language.masks": (
        "bigbird block_diagonal block_sparse causal chunked dilated document fixed full global_tokens lengths "
        "prefix_lm sink sliding_window strided tree vertical_slash"
    ),
    "attngen.language.normalizers": "sigmoid",
    "attngen.language.scores": "alibi bias decay relative_bias softcap t5_bias temperature",
    "attngen.language.spec": "AttentionSpec TensorSpec",
    "attngen.oracle": "reference",
    "attngen.pipeline": "compile generate",
    "attngen.targets.load": "find_target load_targets",
    "attngen.tiling.view": "schedule",
    "attngen.tune": "tune",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'attngen' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
