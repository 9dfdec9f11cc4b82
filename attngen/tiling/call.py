"""What a call supplies to a schedule: sizes, parameters, tensors. Here derived tensors are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from attngen.errors import CallError
from attngen.expr.op import Expr, Op, TensorRef, leaves, tensors
from attngen.language.derived import derive

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Call:
    """One problem. ``tensors`` by reference or by name; what is derived from them is made here.

    ``heads_a_tile`` > 1: the rows of a tile hold that many consecutive heads (packed GQA), and
    lists are made for each such group.
    """

    M: int
    N: int
    B: int = 1
    H: int = 1
    params: Mapping[str, int | float] = field(default_factory=dict)
    tensors: Mapping[TensorRef | str, Array] = field(default_factory=dict)
    heads_a_tile: int = 1

    @property
    def lengths(self) -> dict[str, int]:
        return {"B": self.B, "M": self.M, "N": self.N}

    def arrays(self, exprs: Iterable[Expr]) -> dict[TensorRef, Array]:
        """The array of every tensor that the expressions read."""
        exprs = list(exprs)
        sized = {leaf.value[0]: None for expr in exprs for leaf in leaves(expr, Op.SIZE)}
        return {ref: self._array(ref) for ref in [*tensors(*exprs), *sized]}

    def _array(self, ref: TensorRef) -> Array:
        given = self.tensors.get(ref, self.tensors.get(ref.name))
        if given is not None:
            return np.asarray(given)
        if ref.derived is None:
            raise CallError(f"no tensor `{ref.name}` is given", remedy=f"pass tensors={{'{ref.name}': array}}")
        sources = {source: self._array(source) for source in ref.derived.sources}
        return derive(ref, sources, self.M, self.N)
