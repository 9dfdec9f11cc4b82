"""The language: what a user writes. It needs neither torch nor triton."""

from attngen.language.definition import Blocks, Definition, HeadDim, Heads, Sigmoid, Softmax
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
from attngen.language.scores import alibi, bias, decay, relative_bias, softcap, t5_bias, temperature
from attngen.language.spec import AttentionSpec, TensorSpec
from attngen.language.term import Mask, Score

__all__ = [
    "AttentionSpec",
    "Heads",
    "HeadDim",
    "Blocks",
    "TensorSpec",
    "Definition",
    "Softmax",
    "Sigmoid",
    "Mask",
    "Score",
    # masks
    "full",
    "causal",
    "sliding_window",
    "sink",
    "prefix_lm",
    "document",
    "chunked",
    "block_diagonal",
    "dilated",
    "strided",
    "fixed",
    "global_tokens",
    "bigbird",
    "neighborhood",
    "local_window",
    "vertical_slash",
    "tree",
    "block_sparse",
    "lengths",
    # scores
    "alibi",
    "softcap",
    "temperature",
    "relative_bias",
    "t5_bias",
    "bias",
    "decay",
    # normalisers
    "sigmoid",
]
