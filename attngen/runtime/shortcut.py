"""Two small functions written for one variant: the call, and the replay of a recorded launch.

A general wrapper loops over names and copies lists, which costs more than everything else in a call.
Written out they are what a person would write by hand for that variant:

    def call(self, q, k, v, *, return_lse=False, out=None, slopes=None, W=None, **unknown):
        key = (q.shape, q.stride(), ...)
        replay = self._bound.get(key)
        ...

    def replay(q, k, v, out, slopes, W):
        ...
        run(x, y, z, stream(device), function, packed, None, None, None, q, k, v, out, None, slopes, int(W), c6, ...)

Texts depend on names and positions only, never on sizes, so each is compiled once a process.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

ALIGNMENT = 16
ENVIRONMENT = (
    "grad_enabled", "enter", "leave", "empty_strided", "empty_like", "out_shape", "out_strides", "lse_shape",
    "lse_strides", "dtype", "float32", "where", "current_device", "device", "on_device", "run", "grid", "stream",
    "function", "packed",
)  # fmt: skip
"""What a replay needs besides its arguments, in this order."""
_OURS = frozenset({"self", "q", "k", "v", "return_lse", "out", "unknown"})


@cache
def compiled(text: str) -> Callable[..., Any]:
    """The function `shortcut` of a text that this package has written; a traceback shows its lines."""
    filename = f"<attngen shortcut {len(linecache.cache)}>"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {}
    exec(compile(text, filename, "exec"), scope)
    return scope["shortcut"]  # type: ignore[no-any-return]


def _tensor_key(name: str) -> str:
    return f"{name}.shape, {name}.stride(), {name}.dtype, {name}.device"


@cache
def call_function(params: tuple[str, ...], tensors: tuple[str, ...]) -> Callable[..., Any]:
    """``__call__`` of an Attention with these parameters and named tensors."""
    names = (*tensors, *params)
    clash = [name for name in names if name in _OURS or name.startswith("__")]
    if clash:
        raise ValueError(f"`{clash[0]}` is taken: choose another name for that parameter or tensor")
    keyword = "".join(f", {name}=None" for name in names)
    optional = "".join(f"\n            None if {x} is None else ({_tensor_key(x)})," for x in ("out", *tensors))
    numbers = "".join(f'\n            type({x}), {x} if "{x}" in self._keyed else None,' for x in params)
    given = ", ".join(f'"{name}": {name}' for name in names)
    return compiled(f'''\
def shortcut(self, q, k, v, *, return_lse=False, out=None{keyword}, **unknown):
    """out, or (out, lse) with return_lse; see the class."""
    try:
        __key = (
            {_tensor_key("q")}, {_tensor_key("k")}, {_tensor_key("v")}, return_lse,{optional}{numbers}
        )
    except (AttributeError, TypeError):
        __key = None  # not tensors: the checks of the long way say so
    __replay = self._bound.get(__key)
    if __replay is not None and not unknown:
        __answer = __replay({", ".join(("q", "k", "v", "out", *names))})
        if __answer is not None:
            return __answer
    __given = {{{given}}}
    __values = {{name: value for name, value in __given.items() if value is not None}} | unknown
    return self._first(__key, q, k, v, return_lse, out, __values)
''')


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the inputs stand among a kernel's arguments (constexprs included).

    ``slots``: (position, expression over q, k, v, out, lse and the names); every other position is a
    constant of the recorded launch. ``watched``: names of the tensors whose version is checked, in
    order; "" for one that is not passed at the call.
    """

    names: tuple[str, ...]
    length: int
    slots: tuple[tuple[int, str], ...]
    pointers: tuple[str, ...]
    integers: tuple[str, ...]
    """parameters of int32: the driver would cut a larger number silently"""
    watched: tuple[str, ...]
    like_q: bool
    """out is laid out as q, which is cheaper to allocate"""
    lse: bool


@cache
def replay_factory(layout: Layout) -> Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], Callable[..., Any]]:
    """(environment, constants, watched) -> replay(q, k, v, out, *names): the outputs, or None for the long way."""
    constants = [f"c{i}" for i in range(layout.length)]
    arguments = dict(enumerate(constants)) | dict(layout.slots)
    watch = ""
    for i, name in enumerate(layout.watched):
        same = f" or {name} is not source" if name else ""
        watch += f"""
        source = reference{i}()
        if source is None or source._version != version{i}{same}:
            return None"""
    unpack = "".join(f"    reference{i}, version{i} = watched[{i}]\n" for i in range(len(layout.watched)))
    pointers = " | ".join(f"{name}.data_ptr()" for name in layout.pointers)
    for name in layout.integers:
        watch += f"""
        if not {-(2**31)} <= {name} < {2**31}:
            return None"""
    strided = "empty_strided(out_shape, out_strides, dtype=dtype, device=where)"
    allocate = "empty_like(q)" if layout.like_q else strided
    lse = "lse = empty_strided(lse_shape, lse_strides, dtype=float32, device=where)" if layout.lse else "lse = None"
    run = f"run(x, y, z, stream(device), function, packed, None, None, None, {', '.join(arguments.values())})"
    environment = ", ".join(ENVIRONMENT)
    return compiled(f"""\
def shortcut(environment, constants, watched):
    {environment} = environment
    x, y, z = grid
    {", ".join(constants)}, = constants
{unpack}
    def replay(q, k, v, out, {", ".join(layout.names)}):
        if grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
            return None  # the long way refuses
        if enter or leave:
            return None  # a profiler listens: Triton's own launch tells it{watch}
        if out is None:
            out = {allocate}
        {lse}
        if ({pointers}) % {ALIGNMENT}:
            return None  # less aligned than recorded: another binary
        if current_device() == device:
            {run}
        else:
            with on_device(device):
                {run}
        return {"(out, lse)" if layout.lse else "out"}

    return replay
""")
