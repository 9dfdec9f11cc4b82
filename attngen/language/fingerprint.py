"""The content of a spec as one hash: what a kernel depends on, and nothing else.

Names of captured tensors are private and their values may change from call to call: a tensor enters
by its rank, its dimensions of size 1 and its dtype. Names of parameters and declared tensors are
arguments of the kernel, so they count.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from attngen.expr.op import Expr, Op, Param, TensorRef, walk
from attngen.language.definition import Blocks, Definition, Sigmoid

_VERSION = 1  # counts up when the meaning of a spec changes


def fingerprint(definition: Definition, blocks: Blocks | None) -> str:
    """sha256, in hex, of the canonical content."""
    writer = _Writer(definition.tensors)
    normalizer: list[Any]
    if isinstance(definition.normalizer, Sigmoid):
        normalizer = ["sigmoid", writer.expr(definition.normalizer.bias)]
    else:
        sink = definition.normalizer.sink
        normalizer = ["softmax", writer.tensor(sink) if isinstance(sink, TensorRef) else sink]
    content = [
        _VERSION,
        [definition.heads.q, definition.heads.kv],
        [definition.head_dim.qk, definition.head_dim.v],
        definition.dtype,
        definition.tf32,
        writer.expr(definition.scale),
        writer.expr(definition.mask),
        writer.expr(definition.score),
        normalizer,
        [[param.name, param.dtype] for param in definition.params],
        [writer.tensor(ref) for ref in definition.tensors],
        None if blocks is None else [blocks.q, blocks.kv],
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


class _Writer:
    """Expressions as lists of nodes that refer to earlier ones by number; captured tensors by their place."""

    def __init__(self, tensors: tuple[TensorRef, ...]) -> None:
        self._place = {ref: i for i, ref in enumerate(tensors)}

    def tensor(self, ref: TensorRef) -> list[Any]:
        if ref.derived is not None:
            sources = [self.tensor(source) for source in ref.derived.sources]
            return ["derived", ref.derived.recipe, sources, list(ref.derived.options), ref.dtype, list(ref.shape)]
        if ref.captured:
            return ["captured", self._place[ref], ref.dtype, list(ref.shape)]
        return ["declared", ref.name, ref.dtype, list(ref.shape)]

    def expr(self, root: Expr) -> list[Any]:
        number: dict[Expr, int] = {}
        nodes = []
        for node in walk(root):
            number[node] = len(number)
            nodes.append([node.op.value, node.kind.value, self._value(node), *(number[arg] for arg in node.args)])
        return nodes

    def _value(self, node: Expr) -> Any:
        match node.op:
            case Op.CONST:
                return repr(node.value)
            case Op.LOAD:
                return self.tensor(node.value)
            case Op.SIZE:
                return [self.tensor(node.value[0]), node.value[1]]
            case Op.PARAM:
                assert isinstance(node.value, Param)
                return [node.value.name, node.value.dtype]
            case _:
                return node.value
