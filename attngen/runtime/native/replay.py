"""A recorded native call: the next one of the same shapes, strides and dtypes costs a few microseconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attngen.runtime.kept import Watched
from attngen.runtime.native.library import Run, finish
from attngen.runtime.native.pack import DATA, Packed
from attngen.runtime.shortcut import compiled
from attngen.runtime.variant import Call, Variant

ENVIRONMENT = (
    "grad_enabled", "get_threads", "empty_strided", "empty_like", "out_shape", "out_strides", "lse_shape", "dtype",
    "lse_dtype", "pack", "run", "finish", "keep",
)  # fmt: skip


def replay_of(variant: Variant, run: Run, packed: Packed, call: Call, watched: Watched) -> Callable[..., Any]:
    """``replay(q, k, v, out, *tensors, *params)``: the outputs, or None when the call must take the long way."""
    import torch

    q, lse = call.tensors[0], call.tensors[4]
    shape, strides = variant.output_layout(q, call.sizes)
    tensors = tuple(ref.name for ref in variant.definition.tensors)
    integers = tuple(p.name for p in variant.definition.params if p.dtype == "int32")
    captured = {name: call.named[name] for _, name in packed.places if name in call.named.keys() - call.passed}
    text = _text(
        tensors=tensors,
        params=tuple(p.name for p in variant.definition.params),
        integers=tuple(name for name in integers if name in {place for _, place in packed.places}),
        places=tuple(
            (i, name) for i, name in packed.places if name not in captured and (name != "lse" or lse is not None)
        ),
        count=len(packed.values),
        watched=tuple(name for name, _, _ in watched),
        captured=tuple(captured),
        like_q=(shape, strides) == (tuple(q.shape), torch.empty_like(q, device="meta").stride()),
        lse=lse is not None,
    )
    environment = {
        "grad_enabled": torch.is_grad_enabled,
        "get_threads": torch.get_num_threads,
        "empty_strided": torch.empty_strided,
        "empty_like": torch.empty_like,
        "out_shape": shape,
        "out_strides": strides,
        "lse_shape": variant.lse_shape(call.sizes),
        "dtype": q.dtype,
        "lse_dtype": torch.float64 if q.dtype == torch.float64 else torch.float32,
        "pack": packed.layout.pack,
        "run": run,
        "finish": finish,
        "keep": packed.keep,
    }
    made = compiled(text)(
        [environment[name] for name in ENVIRONMENT],
        packed.values,
        [(reference, version) for _, reference, version in watched],
        [(tensor, tensor.data_ptr()) for tensor in captured.values()],
    )
    return made  # type: ignore[no-any-return]


def _text(
    *,
    tensors: tuple[str, ...],
    params: tuple[str, ...],
    integers: tuple[str, ...],
    places: tuple[tuple[int, str], ...],
    count: int,
    watched: tuple[str, ...],
    captured: tuple[str, ...],
    like_q: bool,
    lse: bool,
) -> str:
    """The replay written out: names and positions only, so that one text serves all sizes."""
    values = [f"c{i}" for i in range(count)]
    for i, name in places:
        values[i] = name if name in params else f"{name}.data_ptr()"
    checks = ""
    for i, name in enumerate(watched):
        same = f" or {name} is not source" if name else ""
        checks += f"""
        source = reference{i}()
        if source is None or source._version != version{i}{same}:
            return None"""
    for i in range(len(captured)):
        checks += f"""
        if captured{i}.data_ptr() != address{i}:
            return None  # it was given other memory"""
    for name in integers:
        checks += f"""
        if not {-(2**31)} <= {name} < {2**31}:
            return None"""
    unpack = "".join(f"    reference{i}, version{i} = watched[{i}]\n" for i in range(len(watched)))
    unpack += "".join(f"    captured{i}, address{i} = captured[{i}]\n" for i in range(len(captured)))
    allocate = "empty_like(q)" if like_q else "empty_strided(out_shape, out_strides, dtype=dtype)"
    assert DATA[4] == "lse"
    lse_line = "lse = empty_strided(lse_shape, (lse_shape[1] * lse_shape[2], lse_shape[2], 1), dtype=lse_dtype)"
    return f"""\
def shortcut(environment, values, watched, captured):
    {", ".join(ENVIRONMENT)} = environment
    {", ".join(f"c{i}" for i in range(count))}, = values
{unpack}
    def replay(q, k, v, out, {", ".join((*tensors, *params))}):
        if grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
            return None  # the long way refuses{checks}
        if out is None:
            out = {allocate}
        {lse_line if lse else "lse = None"}
        failed = run(pack({", ".join(values)}), get_threads())
        if failed:
            finish(failed)
        return {"(out, lse)" if lse else "out"}

    return replay
"""
