"""Tensors of a call as files that another process maps: an input cannot be written to, and NaN lies around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attngen.emit.cpu.interface import Interface, Meaning
from attngen.runtime.native.pack import Packed
from attngen.runtime.tensors import dtype_name

GUARD = 4096
"""Bytes of 0xFF before and after a tensor: NaN in every format of floats."""
_ADDRESSES = (Meaning.DATA, Meaning.TENSOR, Meaning.TILES)
_WRITTEN = ("out", "lse")


class Files:
    """Each tensor is written once. They are kept alive, so that no other one takes the address it is known by."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[tuple[int, int], tuple[Path, Any]] = {}

    def path_of(self, tensor: Any) -> Path:
        """The file that holds what the strides of ``tensor`` span."""
        import torch

        span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        span = span if tensor.numel() else 0
        key = (tensor.data_ptr(), span * tensor.element_size())
        if key not in self._known:
            path = self.folder / f"tensor-{len(self._known)}"
            content = torch.as_strided(tensor.detach(), (span,), (1,)).view(torch.uint8).numpy()
            with open(path, "wb") as file:
                file.write(b"\xff" * GUARD)
                file.write(content)
                file.write(b"\xff" * (GUARD - content.nbytes % 64))
            self._known[key] = (path, tensor)
        return self._known[key][0]

    def described(self, tensor: Any) -> dict[str, Any]:
        """A tensor as plain data, for a process that makes it again on a device."""
        shape, stride = list(tensor.shape), list(tensor.stride())
        return {"file": str(self.path_of(tensor)), "dtype": dtype_name(tensor), "shape": shape, "stride": stride}

    def call(self, interface: Interface, packed: Packed, data: Sequence[Any], named: Sequence[Any]) -> dict[str, Any]:
        """A packed call as plain data: an address becomes the file of its tensor, or the name of an output.

        ``data``: q, k, v, out and lse (None where it is not wanted).
        """
        *inputs, out, lse = data
        written = {x.data_ptr(): name for name, x in zip(_WRITTEN, (out, lse), strict=True) if x is not None}
        at = {x.data_ptr(): x for x in (*inputs, *named, *packed.keep)}
        values: list[Any] = []
        for field, value in zip(interface.fields, packed.values, strict=True):
            if field.meaning not in _ADDRESSES or value == 0:
                values.append(value)
            elif value in written:
                values.append({"output": written[int(value)]})
            else:
                values.append({"file": str(self.path_of(at[int(value)]))})
        return {
            "format": interface.format,
            "values": values,
            "outputs": {name: list(x.shape) for name, x in zip(_WRITTEN, (out, lse), strict=True) if x is not None},
            "dtype": interface.dtype,
        }
