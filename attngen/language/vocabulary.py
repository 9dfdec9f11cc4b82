"""The vocabulary by name, for the language of strings."""

from __future__ import annotations

from collections.abc import Callable

from attngen.language import grids, masks, scores
from attngen.language.term import Mask, Score

MASKS: dict[str, Callable[..., Mask]] = {
    "full": masks.full,
    "causal": masks.causal,
    "sliding_window": masks.sliding_window,
    "sink": masks.sink,
    "prefix_lm": masks.prefix_lm,
    "document": masks.document,
    "chunked": masks.chunked,
    "block_diagonal": masks.block_diagonal,
    "dilated": masks.dilated,
    "strided": masks.strided,
    "fixed": masks.fixed,
    "global_tokens": masks.global_tokens,
    "bigbird": masks.bigbird,
    "neighborhood": grids.neighborhood,
    "local_window": grids.local_window,
    "vertical_slash": masks.vertical_slash,
    "tree": masks.tree,
    "block_sparse": masks.block_sparse,
    "lengths": masks.lengths,
}
SCORES: dict[str, Callable[..., Score]] = {
    "alibi": scores.alibi,
    "softcap": scores.softcap,
    "temperature": scores.temperature,
    "relative_bias": scores.relative_bias,
    "t5_bias": scores.t5_bias,
    "bias": scores.bias,
    "decay": scores.decay,
}
