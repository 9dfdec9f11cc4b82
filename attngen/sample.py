"""Random input that makes sense for a spec: ids ascend, lengths fit, indices lie inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attngen.errors import SpecError
from attngen.expr.op import LEAVES, Op, Param, TensorRef, tensors, walk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attngen.language.definition import Definition

    Array = NDArray[Any]


MOST_NUMBERS = 1 << 27


@dataclass(frozen=True, slots=True)
class Sizes:
    """The lengths of one call."""

    batch: int
    queries: int
    keys: int


@dataclass(frozen=True, slots=True)
class Arguments:
    """Tensors and parameters of a call, by name, beside q, k and v."""

    tensors: dict[str, Array]
    params: dict[str, int | float]


@dataclass(frozen=True, slots=True)
class Sample(Arguments):
    """All arguments of a call. q, k, v are float64 and are to be rounded to the dtype of the call."""

    q: Array
    k: Array
    v: Array


def sample(definition: Definition, sizes: Sizes, values: dict[str, int | float], seed: int = 0) -> Sample:
    """``values`` are parameters given by the user; the others get a quarter of the keys, or 1.0."""
    import numpy as np

    rng = np.random.default_rng(seed)
    heads, dim = definition.heads, definition.head_dim
    params = _params(definition, sizes, values)
    _check_size((sizes.batch, heads.q, max(sizes.queries, sizes.keys), max(dim.qk, dim.v)), sizes)
    q = rng.standard_normal((sizes.batch, heads.q, sizes.queries, dim.qk))
    k = rng.standard_normal((sizes.batch, heads.kv, sizes.keys, dim.qk))
    v = rng.standard_normal((sizes.batch, heads.kv, sizes.keys, dim.v))
    declared = [tensor for tensor in definition.tensors if not tensor.captured]
    return Sample(_tensors(declared, definition, sizes, rng), params, q, k, v)


def mask_arguments(definition: Definition, sizes: Sizes, values: dict[str, int | float]) -> Arguments:
    """All parameters as `sample` has them, and the tensors that decide which pairs the mask keeps."""
    import numpy as np

    read = tensors(definition.mask)
    for tensor in read:  # what is derived is made too: the ancestors of a tree are as many as pairs
        _check_size(shape_of(tensor, definition, sizes), sizes)
    sources = {source.name for tensor in read if tensor.derived for source in tensor.derived.sources}
    names = {tensor.name for tensor in read} | sources
    wanted = [tensor for tensor in definition.tensors if tensor.name in names and not tensor.captured]
    params = _params(definition, sizes, values)
    return Arguments(_tensors(wanted, definition, sizes, np.random.default_rng(0)), params)


def _params(definition: Definition, sizes: Sizes, values: dict[str, int | float]) -> dict[str, int | float]:
    unknown = set(values) - {param.name for param in definition.params}
    if unknown:
        known = ", ".join(param.name for param in definition.params) or "none"
        raise SpecError(
            f"the spec has no parameter `{min(unknown)}`", place="--param", remedy=f"its parameters: {known}"
        )
    for param in definition.params:
        _check_value(param, values.get(param.name, 1))
    return {
        param.name: values.get(param.name, max(1, sizes.keys // 4) if param.dtype == "int32" else 1.0)
        for param in definition.params
    }


def _tensors(
    wanted: list[TensorRef], definition: Definition, sizes: Sizes, rng: np.random.Generator
) -> dict[str, Array]:
    roles = tensor_roles(definition)
    shapes = {tensor: shape_of(tensor, definition, sizes) for tensor in wanted}
    for shape in shapes.values():
        _check_size(shape, sizes)
    return {tensor.name: _fill(tensor, roles.get(tensor.name, ""), shapes[tensor], sizes, rng) for tensor in wanted}


def _check_size(shape: tuple[int, ...], sizes: Sizes) -> None:
    if math.prod(shape) > MOST_NUMBERS:
        raise SpecError(
            f"a tensor of {math.prod(shape):,} numbers",
            place=f"{sizes.batch} x {sizes.queries} queries x {sizes.keys} keys",
            remedy=f"use shorter sequences: at most {MOST_NUMBERS:,} numbers are drawn",
        )


def _check_value(param: Param, value: int | float) -> None:
    is_int = param.dtype == "int32"
    if (not isinstance(value, int) or not -(2**31) <= value < 2**31) if is_int else not abs(value) < math.inf:
        form = "an integer of 32 bits" if is_int else "a finite number"
        raise SpecError(f"{param.name} = {value!r}", place="--param", remedy=f"`{param.name}` is {form}")


def shape_of(tensor: TensorRef, definition: Definition, sizes: Sizes) -> tuple[int, ...]:
    """The shape of a declared tensor at a call; a dimension of any size gets eight entries."""
    letters = {
        "B": sizes.batch,
        "H": definition.heads.q,
        "Hkv": definition.heads.kv,
        "M": sizes.queries,
        "N": sizes.keys,
    }
    return tuple(8 if dim is None else letters[dim] if isinstance(dim, str) else dim for dim in tensor.shape)


def tensor_roles(definition: Definition) -> dict[str, str]:
    """What integer tensors are for: the recipe that reads them, "ids" of tokens, or "length"."""
    roles: dict[str, str] = {}
    for tensor in tensors(definition.mask, definition.score):
        if tensor.derived:
            roles.update({source.name: tensor.derived.recipe for source in tensor.derived.sources})
    for node in walk(definition.mask):
        loads = [arg for arg in node.args if arg.op is Op.LOAD and not arg.value.derived]
        if node.op is Op.EQ and len(loads) == 2:
            roles.update({load.value.name: "ids" for load in loads})
        for load in loads:
            index_is_small = all(arg.op in LEAVES and arg.value in ("b", "h", 0) for arg in load.args)
            if node.op in (Op.LT, Op.LE, Op.GT, Op.GE) and index_is_small:
                roles.setdefault(load.value.name, "length")
    return roles


def _fill(tensor: TensorRef, role: str, shape: tuple[int, ...], sizes: Sizes, rng: np.random.Generator) -> Array:
    import numpy as np

    if tensor.dtype == "bool":
        return rng.random(shape) < 0.5
    if not tensor.dtype.startswith("int"):
        values = rng.standard_normal(shape)
        # a cumulative log gate falls along the sequence
        return -np.cumsum(np.abs(values) * 0.05, axis=-1) if tensor.shape[-1:] == ("N",) else values
    dtype = np.int64 if tensor.dtype == "int64" else np.int32
    if role == "segment_ids":  # cumulative lengths, from 0 to N
        inner = np.sort(rng.integers(0, sizes.keys + 1, (*shape[:-1], max(shape[-1] - 2, 0))), axis=-1)
        ends = [np.full((*shape[:-1], 1), value) for value in (0, sizes.keys)]
        return np.concatenate([ends[0], inner, ends[1]], axis=-1)[..., : shape[-1]].astype(dtype)
    if role == "ids":  # a few documents of uneven lengths
        cuts = rng.integers(0, shape[-1], (*shape[:-1], max(2, shape[-1] // 1024), 1))
        ids: Array = (np.arange(shape[-1]) >= cuts).sum(axis=-2).astype(dtype)
        return ids
    if role == "tree_ancestors":  # a parent comes before its children
        upper = np.broadcast_to(np.maximum(np.arange(shape[-1]), 1), shape)
        parents = rng.integers(0, upper)
        return np.where(np.arange(shape[-1]) == 0, -1, parents).astype(dtype)
    if role == "length":
        return rng.integers(1, min(sizes.queries, sizes.keys) + 1, shape).astype(dtype)
    return rng.integers(0, sizes.keys, shape).astype(dtype)
