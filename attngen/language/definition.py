"""What a spec means, as plain expressions: the input of the graph, the oracle and the fingerprint."""

from __future__ import annotations

from dataclasses import dataclass

from attngen.expr.op import Expr, Param, TensorRef


@dataclass(frozen=True, slots=True)
class Heads:
    """Query and key/value heads. GQA when kv < q, MQA when kv == 1; q is a multiple of kv."""

    q: int
    kv: int

    @property
    def group(self) -> int:
        """Query heads that share one key/value head."""
        return self.q // self.kv


@dataclass(frozen=True, slots=True)
class HeadDim:
    """Width of a query/key row and of a value row, in elements."""

    qk: int
    v: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """Pinned tile sizes: query rows and keys a tile. ``None`` leaves one to the planner."""

    q: int | None = None
    kv: int | None = None


@dataclass(frozen=True, slots=True)
class Softmax:
    """exp(s - lse); lse is natural. ``sink`` adds exp(sink) to the denominator.

    It is a TensorRef [H], 0.0 (off by one), or None.
    """

    sink: TensorRef | float | None = None


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """sigmoid(s + bias), no normalisation over keys (arXiv:2409.04431). ``bias`` is tile-uniform; no lse exists."""

    bias: Expr


@dataclass(frozen=True, slots=True)
class Definition:
    """The meaning of a spec, without names, texts or Python callables.

    ``mask`` is a bool expression of b, h, q, kv (TRUE when every pair is kept), ``score`` a float
    expression of SCORE, ``scale`` a float constant or parameter. SCORE starts as scale * q . k.
    ``params`` and ``tensors`` (declared, then captured, in order) are the arguments of a call.
    """

    heads: Heads
    head_dim: HeadDim
    dtype: str | None
    tf32: bool
    scale: Expr
    mask: Expr
    score: Expr
    normalizer: Softmax | Sigmoid
    params: tuple[Param, ...]
    tensors: tuple[TensorRef, ...]
