"""What is made from a caller's tensors and kept while they stay unchanged: copies on a device, tile lists.

Unchanged means the same tensor object, not written to since by torch (it counts versions). Writes that
torch does not see, by another library or through NumPy, are not noticed: `forget` is for those.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

from attngen.expr.op import tensors as tensors_of
from attngen.language.definition import Definition
from attngen.runtime.tensors import torch_dtype

MAX_TILE_LISTS = 64

Watched = tuple[tuple[str, Any, int], ...]
"""(name, weak reference, version); the name is empty for a captured tensor, which is not passed at the call."""


class Kept:
    """The kept tensors of one variant."""

    def __init__(self, definition: Definition, captured: Mapping[str, Any]) -> None:
        self._captured = captured
        self._dtypes = {ref.name: ref.dtype for ref in definition.tensors}
        self._moved: dict[tuple[str, Any], tuple[int | None, Any]] = {}
        self._tiles: dict[Hashable, tuple[Watched, tuple[Any, ...]]] = {}
        whole = {name for name, dtype in self._dtypes.items() if dtype in ("bool", "int32", "int64")}
        mask = {ref.name for ref in tensors_of(definition.mask) if ref.derived is None}
        self.sources = frozenset(whole | mask)
        """Tensors that bounds, flags or tile lists may be made from: whole numbers, and what the mask reads."""

    def on(self, name: str, device: Any) -> Any:
        """A captured tensor on ``device``, moved once (and again when it was written to)."""
        import torch

        original = self._captured[name]
        is_tensor = hasattr(original, "data_ptr")
        if is_tensor and original.device == device:
            return original
        version = version_of(original)
        kept = self._moved.get((name, device))
        if kept is None or kept[0] != version:
            tensor = original.detach() if is_tensor else torch.tensor(original)
            moved = tensor.to(device=device, dtype=torch_dtype(self._dtypes[name]))
            kept = self._moved[name, device] = (version, moved)
        return kept[1]

    def watch(self, named: Mapping[str, Any], passed: Collection[str], sources: Collection[str]) -> Watched | None:
        """What must be unchanged: ``sources``, and originals of copies. None when torch does not count versions."""
        watched = []
        for name, tensor in named.items():
            original = tensor if name in passed else self._captured[name]
            if not hasattr(original, "data_ptr") or (original is tensor and name not in sources):
                continue  # a NumPy array is copied once, and a tensor that the kernel itself reads is always up to date
            version = version_of(original)
            if version is None:
                return None
            watched.append((name if name in passed else "", weakref.ref(original), version))
        return tuple(watched)

    def tile_lists(
        self,
        key: Hashable,
        named: Mapping[str, Any],
        passed: Collection[str],
        device: Any,
        build: Callable[[], Sequence[Any]],
    ) -> tuple[Any, ...]:
        """The lists of a mask without closed form. ``key`` has all else that they depend on."""
        kept = self._tiles.get(key)
        if kept is not None and unchanged(kept[0], named):
            return kept[1]
        watched = self.watch(named, passed, self.sources)
        tiles = tuple(x.to(device) for x in build())
        if watched is not None:
            if len(self._tiles) >= MAX_TILE_LISTS:
                self._tiles.clear()
            self._tiles[key] = (watched, tiles)
        return tiles

    def forget(self) -> None:
        self._moved.clear()
        self._tiles.clear()


def unchanged(watched: Watched, named: Mapping[str, Any]) -> bool:
    for name, reference, version in watched:
        source = reference()
        if source is None or source._version != version or (name and named[name] is not source):
            return False
    return True


def version_of(tensor: Any) -> int | None:
    """How often torch has written to the tensor; None when nobody counts (inference mode, NumPy)."""
    try:
        return int(tensor._version)
    except (AttributeError, RuntimeError):
        return None
