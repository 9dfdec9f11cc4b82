"""The arrays a callable has captured: their names, and a copy of the callable that sees views of NumPy arrays."""

from __future__ import annotations

import copy
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from attngen.language.arrays import is_torch

_DEEPEST = 8


def _holdings(mod: Any) -> Iterator[tuple[str, Any]]:
    """The named values that a callable reads: closure, defaults, globals, arguments of a partial, attributes."""
    if isinstance(mod, functools.partial):
        code = getattr(mod.func, "__code__", None)
        yield from zip(code.co_varnames if code else (), mod.args, strict=False)
        yield from mod.keywords.items()
        yield "func", mod.func
    elif isinstance(mod, types.MethodType):
        yield "self", mod.__self__
        yield "func", mod.__func__
    elif isinstance(mod, types.FunctionType):
        for name, cell in zip(mod.__code__.co_freevars, mod.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:  # a name that is bound later
                continue
        if not _is_library(mod):
            for name in mod.__code__.co_names:
                if name in mod.__globals__:
                    yield name, mod.__globals__[name]
        defaults = mod.__defaults__ or ()
        arguments = mod.__code__.co_varnames[: mod.__code__.co_argcount]
        yield from zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True)
        yield from (mod.__kwdefaults__ or {}).items()
    elif hasattr(mod, "__dict__") and not isinstance(mod, (type, types.ModuleType)):
        yield from vars(mod).items()
        call = next((vars(base)["__call__"] for base in type(mod).__mro__ if "__call__" in vars(base)), None)
        if isinstance(call, types.FunctionType):
            yield "__call__", call


def _is_library(mod: types.FunctionType) -> bool:
    """A function of torch, NumPy or Python: its closure may hold the user's arrays, its globals do not."""
    root = (mod.__module__ or "").partition(".")[0]
    return root in ("torch", "numpy", "attngen") or root in sys.stdlib_module_names - {"__main__"}


def _is_inside(value: Any) -> bool:
    """Something whose own holdings matter: another callable, or a plain container of arrays."""
    if isinstance(value, (types.ModuleType, type, types.BuiltinFunctionType)) or is_torch(value):
        return False
    return callable(value) or type(value).__module__ not in ("builtins", "numpy")


def array_names(mod: Callable[..., Any]) -> dict[int, str]:
    """``id(array) -> name`` of every array in reach; the outermost name wins."""
    names: dict[int, str] = {}
    seen: set[int] = set()
    level: list[Any] = [mod]
    for _ in range(_DEEPEST):
        deeper: list[Any] = []
        for holder in level:
            if id(holder) in seen:
                continue
            seen.add(id(holder))
            for name, value in _holdings(holder):
                if isinstance(value, np.ndarray) or is_torch(value):
                    names.setdefault(id(value), name)
                elif isinstance(value, (list, tuple)):
                    for item in value:
                        if isinstance(item, np.ndarray) or is_torch(item):
                            names.setdefault(id(item), name)
                        elif _is_inside(item):
                            deeper.append(item)
                elif _is_inside(value):
                    deeper.append(value)
        level = deeper
    return names


def bind(mod: Any, view: Callable[[Any], Any]) -> Any:
    """The callable with each NumPy array that it holds replaced by ``view(array)``; itself when it holds none."""
    return _Binder(view).bind(mod, 0)


class _Binder:
    def __init__(self, view: Callable[[Any], Any]) -> None:
        self._view = view
        self._done: dict[int, Any] = {}
        self._alive: list[Any] = []  # an id is a key only as long as its object lives

    def bind(self, mod: Any, depth: int) -> Any:
        if isinstance(mod, np.ndarray):
            return self._view(mod)
        if type(mod) in (list, tuple):
            items = [self.bind(item, depth + 1) for item in mod]
            return mod if all(a is b for a, b in zip(items, mod, strict=True)) else type(mod)(items)
        if depth > _DEEPEST or not _is_inside(mod):
            return mod
        if id(mod) not in self._done:
            self._done[id(mod)] = mod  # a function that calls itself finds itself
            self._alive.append(mod)
            self._done[id(mod)] = self._copy(mod, depth)
        return self._done[id(mod)]

    def _copy(self, mod: Any, depth: int) -> Any:
        held = list(_holdings(mod))
        new = {name: self.bind(value, depth + 1) for name, value in held}
        if all(new[name] is value for name, value in held):
            return mod
        if isinstance(mod, functools.partial):
            keywords = {name: new[name] for name in mod.keywords}
            return functools.partial(new["func"], *(self.bind(value, depth + 1) for value in mod.args), **keywords)
        if isinstance(mod, types.MethodType):
            return types.MethodType(new["func"], new["self"])
        if isinstance(mod, types.FunctionType):
            return _copy_function(mod, new)
        twin = copy.copy(mod)
        vars(twin).update({name: value for name, value in new.items() if name != "__call__"})
        return functools.partial(new["__call__"], twin) if "__call__" in new else twin


def _copy_function(mod: types.FunctionType, new: dict[str, Any]) -> types.FunctionType:
    closure = tuple(
        types.CellType(new[name]) if name in new else cell
        for name, cell in zip(mod.__code__.co_freevars, mod.__closure__ or (), strict=True)
    )
    names = {name: new[name] for name in mod.__code__.co_names if name in new}
    twin = types.FunctionType(mod.__code__, {**mod.__globals__, **names}, mod.__name__, mod.__defaults__, closure)
    arguments = mod.__code__.co_varnames[: mod.__code__.co_argcount]
    if mod.__defaults__:
        twin.__defaults__ = tuple(new[name] for name in arguments[len(arguments) - len(mod.__defaults__) :])
    if mod.__kwdefaults__:
        twin.__kwdefaults__ = {name: new[name] for name in mod.__kwdefaults__}
    return twin
