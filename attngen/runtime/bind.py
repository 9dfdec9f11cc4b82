"""Recording a launch, so that the next one of the same key needs no checks and no Triton dispatch.

Triton's own `kernel[grid](...)` spends 6 to 15 us of Python a call on finding out again which binary
the arguments need. For one key of shapes, strides and dtypes the answer cannot change: only pointers
and runtime parameters are new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attngen.runtime.shortcut import ALIGNMENT, ENVIRONMENT, Layout, replay_factory

Prepared = tuple[Any, Sequence[int], Sequence[Any], Mapping[str, Any]]
"""What an emitted `prepare` returns: kernel, grid, arguments, constants."""


@dataclass(frozen=True, slots=True)
class Params:
    """Where runtime parameters stand in a kernel's arguments.

    ``positions``: passed on unchanged, so a replay may replace them. ``keyed``: used in another way
    (in the grid, in a formula, in a specialised argument), so each value is a launch of its own.
    """

    positions: Mapping[str, tuple[int, ...]]
    keyed: frozenset[str]


def locate_params(prepare: Callable[[Mapping[str, Any]], Prepared], values: Mapping[str, Any]) -> Params:
    """Find the places by preparing again with other values, one parameter at a time."""
    kernel, grid, args, constants = prepare(values)
    free = [p.do_not_specialize for p in kernel.params if p.name not in constants]
    positions: dict[str, tuple[int, ...]] = {}
    keyed: set[str] = set()
    for name, value in values.items():
        other = value + 1 if isinstance(value, int) else value * 1.5 + 1.0
        try:
            _, grid2, args2, constants2 = prepare({**values, name: other})
        except Exception:  # a value that the launcher refuses says nothing about the place: be careful instead
            keyed.add(name)
            continue
        numbers = [i for i, x in enumerate(args) if isinstance(x, (int, float))]
        changed = tuple(i for i in numbers if args[i] != args2[i])
        # Triton compiles other binaries for some integers (never for floats), unless the kernel says not to
        one_binary = isinstance(value, float) or all(free[i] for i in changed)
        direct = one_binary and all(args[i] == value and args2[i] == other for i in changed)
        if direct and changed and grid == grid2 and constants == constants2:
            positions[name] = changed
        else:
            keyed.add(name)
    return Params(positions, frozenset(keyed))


@dataclass(frozen=True, slots=True)
class Launched:
    """A launch that has just happened. Tensors are recognised by identity: no two of them are one object."""

    compiled: Any
    prepared: Prepared
    tensors: Sequence[Any]
    """q, k, v, out, lse"""
    named: Mapping[str, Any]
    passed: frozenset[str]
    """names of tensors that came with the call (the others are captured)"""
    params: Params
    integers: frozenset[str]


def read_directly(launched: Launched) -> frozenset[str]:
    """The named tensors that the kernel reads themselves, not something made from them."""
    direct = {id(x) for x in launched.prepared[2]}
    return frozenset(name for name, x in launched.named.items() if id(x) in direct)


def made_by_launcher(launched: Launched) -> bool:
    """Whether the kernel reads tensors that are neither inputs nor named (derived ones, copies, tile lists)."""
    known = {id(x) for x in (*launched.tensors, *launched.named.values())}
    return any(hasattr(x, "data_ptr") and id(x) not in known for x in launched.prepared[2])


def record(
    launched: Launched,
    names: tuple[str, ...],
    watched: Sequence[tuple[str, Any, int]],
    out_layout: tuple[tuple[int, ...], tuple[int, ...]],
    lse_shape: tuple[int, int, int],
) -> Callable[..., Any] | None:
    """``replay(q, k, v, out, *names)``, or None when the launch cannot be repeated safely.

    ``watched``: (name, weak reference, version) of what made tensors came from.
    """
    import torch
    from triton import knobs
    from triton.runtime import driver

    kernel, grid, args, constants = launched.prepared
    q = launched.tensors[0]
    runtime = [i for i, name in enumerate(kernel.arg_names) if name not in constants]
    if len(runtime) != len(args) or any(hasattr(x, "data_ptr") and x.data_ptr() % ALIGNMENT for x in args):
        return None
    given = {id(x) for x in args}
    if any(x is not None and id(x) not in given for x in launched.tensors):
        return None  # the launcher copied an input (its rows were not contiguous): the copy is of this call alone
    words = {
        id(x): word for x, word in zip(launched.tensors, ("q", "k", "v", "out", "lse"), strict=True) if x is not None
    }
    words |= {id(x): name for name, x in launched.named.items() if name in launched.passed}
    slots = {place: words[id(x)] for place, x in zip(runtime, args, strict=True) if id(x) in words}
    pointers = tuple(dict.fromkeys(slots.values()))
    for name, places in launched.params.positions.items():
        convert = "int" if name in launched.integers else "float"
        slots |= {runtime[i]: f"{convert}({name})" for i in places}
    template = [constants.get(name) for name in kernel.arg_names]
    for place, x in zip(runtime, args, strict=True):
        template[place] = None if place in slots else x  # the tensors of this call are not kept alive
    layout = Layout(
        names,
        len(template),
        tuple(sorted(slots.items())),
        pointers,
        tuple(name for name in launched.params.positions if name in launched.integers),
        tuple(name for name, _, _ in watched),
        like_q=out_layout == (tuple(q.shape), torch.empty_like(q, device="meta").stride()),
        lse=launched.tensors[4] is not None,
    )
    active, compiled = driver.active, launched.compiled
    environment = {
        "grad_enabled": torch.is_grad_enabled,
        "enter": knobs.runtime.launch_enter_hook.calls,
        "leave": knobs.runtime.launch_exit_hook.calls,
        "empty_strided": torch.empty_strided,
        "empty_like": torch.empty_like,
        "out_shape": out_layout[0],
        "out_strides": out_layout[1],
        "lse_shape": lse_shape,
        "lse_strides": (lse_shape[1] * lse_shape[2], lse_shape[2], 1),
        "dtype": q.dtype,
        "float32": torch.float32,
        "where": q.device,
        "current_device": active.get_current_device,
        "device": active.get_current_device(),
        "on_device": torch.cuda.device,
        "run": compiled.run,
        "grid": (*grid, 1, 1)[:3],
        "stream": active.get_current_stream,
        "function": compiled.function,
        "packed": compiled.packed_metadata,
    }
    return replay_factory(layout)(
        [environment[name] for name in ENVIRONMENT], template, [(ref, version) for _, ref, version in watched]
    )
