"""The tensors of one call of a kernel, and that call as plain data for any plan of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attngen.runtime.launch import Attention
from attngen.runtime.native.way import packed_call
from attngen.runtime.request import Emitted
from attngen.runtime.tensors import Checker, Sizes, dtype_name
from attngen.runtime.variant import Call
from attngen.tune.files import Files


class Inputs:
    """The tensors of one call, written to files when a kernel's call is described."""

    def __init__(self, attention: Attention, files: Files, qkv: tuple[Any, ...], values: Mapping[str, Any]) -> None:
        import torch

        variant, self._files = attention.variant, files
        self._variant, definition = variant, attention.definition
        q, k, v = qkv
        check = Checker(variant.name, definition)
        sizes = Sizes(q.shape[0], q.shape[2], k.shape[2])
        out = torch.empty((*q.shape[:3], definition.head_dim.v), dtype=q.dtype)
        wide = torch.float64 if q.dtype == torch.float64 else torch.float32
        lse = torch.empty(variant.lse_shape(sizes), dtype=wide) if attention.has_lse else None
        named = {
            ref.name: values[ref.name] if ref.name in values else variant.kept.on(ref.name, q.device)
            for ref in definition.tensors
        }
        for ref in definition.tensors:
            check.tensor(ref, named[ref.name], sizes, q.device)
        params = {param.name: check.param(param, values[param.name]) for param in definition.params}
        passed = frozenset(named) & frozenset(values)
        self.data = (q, k, v, out, lse)
        self._call = Call(list(self.data), named, params, passed, sizes)

    def call(self, emitted: Emitted) -> dict[str, Any]:
        assert emitted.interface is not None
        packed = packed_call(self._variant, emitted, self.data, self._call)
        return self._files.call(emitted.interface, packed, self.data, list(self._call.named.values()))

    def launch(self, emitted: Emitted) -> dict[str, Any]:
        """What the launcher of an emitted Triton source takes."""
        described, call = self._files.described, self._call
        *inputs, out, lse = self.data
        lists = self._variant.tile_lists(emitted, emitted, call) if emitted.schedule.tile_list else None
        return {
            "inputs": [described(x) for x in inputs],
            "outputs": {name: _output(x) for name, x in (("out", out), ("lse", lse)) if x is not None},
            "named": {name: described(x) for name, x in call.named.items()},
            "params": dict(call.params),
            "tiles": None if lists is None else [described(x) for x in lists],
            "dtype": dtype_name(out),
        }


def _output(tensor: Any) -> dict[str, Any]:
    return {"shape": list(tensor.shape), "dtype": dtype_name(tensor)}
