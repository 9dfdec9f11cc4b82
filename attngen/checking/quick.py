"""Triton's interpreter without two of its costs, which are most of the time of a small kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quick(*, overflow_checks: bool = False) -> Iterator[None]:
    """For one launch: every function called by the kernel finds `triton.language` as the first one left it.

    The interpreter would look through the whole module again at each call of a device function. Without
    ``overflow_checks`` it does not compute each integer sum and product a second time in 64 bits.
    """
    import triton.language as tl
    from triton.runtime import interpreter

    patch, builder = interpreter._patch_lang, interpreter.interpreter_builder
    options = builder.options
    scopes: dict[frozenset[int], Any] = {}

    def once(fn: Any, *args: Any) -> Any:
        # a module that is patched already stays so until the launch is over
        key = frozenset(id(value) for value in fn.__globals__.values() if value is tl or value is tl.core)
        if key not in scopes:
            scopes[key] = patch(fn, *args)
            return scopes[key]
        return None if scopes[key] is None else type(scopes[key])()

    interpreter._patch_lang = once
    if not overflow_checks:
        builder.options = dataclasses.replace(options, sanitize_overflow=False)
    try:
        yield
    finally:
        interpreter._patch_lang = patch
        builder.options = options
