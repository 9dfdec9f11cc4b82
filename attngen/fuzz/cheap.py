"""Checks without a kernel: the schedule against every pair, and texts against what they mean."""

from __future__ import annotations

import pickle
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from attngen.errors import SpecError
from attngen.fuzz.cases import Case, pruned, random_sources
from attngen.fuzz.expressions import Tree, python, text, value
from attngen.fuzz.grow import Grower
from attngen.fuzz.script import build_spec

BATCH, HEADS, ROWS, KEYS = 2, 3, 13, 18
LENGTHS = (1, 16, 17, 63, 64, 77, 128, 200)
TILES = ((16, 16), (16, 64), (32, 32), (64, 32), (64, 64), (128, 64), (32, 128))


def check(seed: int, index: int) -> list[str]:
    """Cheap case ``index`` of the stream ``seed``: what is wrong, a line each."""
    rng = np.random.default_rng([seed, index, 7])
    name = list(CHECKS)[index % len(CHECKS)]
    try:
        problems = CHECKS[name](rng)
    except Exception as error:  # a generated case that attngen refuses is a finding as well
        problems = [f"{type(error).__name__}: {error}"]
    return [f"{name}, seed {seed}, index {index}", *problems] if problems else []


# expressions


def _index() -> dict[str, np.ndarray[Any, Any]]:
    sizes = {"b": BATCH, "h": HEADS, "q": ROWS, "kv": KEYS}
    return {
        name: np.arange(size).reshape([-1 if i == place else 1 for i in range(4)])
        for place, (name, size) in enumerate(sizes.items())
    }


def _grown(
    rng: np.random.Generator, *, leaves: tuple[str, ...], tensors: bool, score: bool
) -> tuple[Tree, dict[str, Any]]:
    """A tree and the arrays that it reads, of some lengths: subscripts are clamped."""
    arrays: dict[str, Any] = {}

    def new_tensor(kind: str, subscripts: list[Tree]) -> str:
        shape = [item + 1 if isinstance(item, int) else int(rng.choice([1, 5, 18])) for item in subscripts]
        drawn = (
            rng.random(shape) < 0.5
            if kind == "bool"
            else rng.integers(-3, 40, shape)
            if kind == "int"
            else rng.standard_normal(shape).astype(np.float32)
        )
        arrays[f"t{len(arrays)}"] = np.asarray(drawn)
        return f"t{len(arrays) - 1}"

    grower = Grower(rng, leaves, new_tensor if tensors else None)
    depth = int(rng.integers(1, 5))
    if score:
        step = grower.masking_step if rng.random() < 0.15 else grower.step
        return step(min(depth, 3)), arrays
    return grower.boolean(depth) if rng.random() < 0.6 else grower.integer(depth), arrays


def _load(arrays: Mapping[str, Any]) -> Callable[[str, list[Any]], Any]:
    def load(name: str, subscripts: list[Any]) -> Any:
        array = arrays[name]
        inside = [np.clip(item, 0, size - 1) for item, size in zip(subscripts, array.shape, strict=True)]
        return array[tuple(inside)]

    return load


def _differ(what: str, got: Any, wanted: Any, tolerance: float = 0.0) -> list[str]:
    shape = (BATCH, HEADS, ROWS, KEYS)
    got, wanted = (np.broadcast_to(np.asarray(x), shape) for x in (got, wanted))
    same = got == wanted
    if tolerance:
        same |= np.isclose(got, wanted, rtol=tolerance, atol=tolerance)
    if same.all():
        return []
    where = tuple(int(i) for i in np.argwhere(~same)[0])
    return [f"{what}: {got[where]} instead of {wanted[where]} at (b, h, q, kv) = {where}"]


def _scope(arrays: Mapping[str, Any]) -> Any:
    from attngen.expr.op import Param, TensorRef
    from attngen.language.definition import Heads
    from attngen.language.grammar import parse_number
    from attngen.language.scope import Scope

    words = {"bool": "bool", "int64": "int64", "float32": "fp32"}
    declared = {name: TensorRef(name, words[str(x.dtype)], (None,) * x.ndim) for name, x in arrays.items()}
    return Scope(Heads(HEADS, HEADS), {"W": Param("W", "int32")}, declared, parse_number)


def _environment(arrays: Mapping[str, Any], scope: Any) -> Any:
    from attngen.expr.evaluate import Env

    score = np.linspace(-4, 4, BATCH * HEADS * ROWS * KEYS).reshape(BATCH, HEADS, ROWS, KEYS)
    tensors = {ref: arrays[name] for name, ref in scope.declared.items()}
    return Env(_index(), {"B": BATCH, "M": ROWS, "N": KEYS}, {"W": 6}, score, tensors)


def _parsed(source: str, scope: Any, score: bool) -> Any:
    from attngen.language.grammar import parse_number, parse_score

    return parse_score(source, scope) if score else parse_number(source, scope)


def strings(rng: np.random.Generator) -> list[str]:
    """A text means what its tree means, and so does the text that `show` makes of it."""
    from attngen.expr.evaluate import evaluate
    from attngen.expr.show import show

    score = bool(rng.random() < 0.3)
    tree, arrays = _grown(rng, leaves=("q", "kv", "b", "h", "M", "N", "W"), tensors=True, score=score)
    source, scope = text(tree), _scope(arrays)
    env = _environment(arrays, scope)
    wanted = value(tree, {**env.index, **env.length, **env.params, "score": env.score}, _load(arrays))
    parsed = _parsed(source, scope, score)
    problems = _differ("parsed", evaluate(parsed, env), wanted, 1e-9)
    shown = show(parsed)
    problems += _differ("shown", evaluate(_parsed(shown, scope, score), env), wanted, 1e-9)
    return [*problems, source, shown] if problems else []


class _Clamped:
    """A tensor whose subscripts are clamped, as the language says; of what is left, ``t[b][h]``."""

    def __init__(self, tensor: Any, subscripts: tuple[Any, ...] = ()) -> None:
        self.tensor, self.subscripts = tensor, subscripts

    def __getitem__(self, key: Any) -> Any:
        import torch

        given = (*self.subscripts, *(key if isinstance(key, tuple) else (key,)))
        if len(given) < self.tensor.dim():
            return _Clamped(self.tensor, given)
        return self.tensor[
            tuple(torch.as_tensor(i).clamp(0, size - 1) for i, size in zip(given, self.tensor.shape, strict=True))
        ]


def callables(rng: np.random.Generator) -> list[str]:
    """A traced callable means what torch computes when it is called with indices."""
    import torch

    from attngen.expr.evaluate import evaluate
    from attngen.expr.op import tensors as loaded
    from attngen.language.arrays import to_numpy
    from attngen.language.trace import trace_mask, trace_score

    score = bool(rng.random() < 0.3)
    tree, arrays = _grown(rng, leaves=("q", "kv", "b", "h"), tensors=True, score=score)
    given = "score, b, h, q, kv" if score else "b, h, q, kv"
    source = f"lambda {given}: {python(tree if score else ['!=', tree, 0])}"
    scope = _scope({})
    tensors = {name: torch.from_numpy(np.array(x)) for name, x in arrays.items()}
    traced = eval(source, {"__name__": "__main__", "torch": torch, **tensors})
    clamped = {name: _Clamped(x) if x.dim() else x for name, x in tensors.items()}
    called = eval(source, {"torch": torch, **clamped})
    made = (trace_score if score else trace_mask)(traced, scope.capture, scope.pin)
    made = scope.finish(made)
    bound = {ref: to_numpy(scope.captured[ref.name]) for ref in loaded(made)}
    env = replace(_environment({}, scope), tensors=bound)
    indices = [torch.from_numpy(x) for x in env.index.values()]
    wanted = called(*([torch.from_numpy(env.score).float()] if score else []), *indices)
    problems = _differ("traced", evaluate(made, env), wanted, 1e-4 if score else 0.0)
    return [*problems, source] if problems else []


class _C(np.ndarray[Any, Any]):
    """Integers that divide as a kernel's do: towards zero."""

    def __floordiv__(self, other: Any) -> Any:
        return np.trunc(np.true_divide(self, other)).astype(np.int64).view(_C)

    def __mod__(self, other: Any) -> Any:
        return (self - (self // other) * other).view(_C)

    def to(self, dtype: Any) -> Any:
        return self.astype(dtype)


def _c(x: Any) -> Any:
    return np.asarray(x).view(_C)


_TL = types.SimpleNamespace(
    minimum=lambda a, b: _c(np.minimum(a, b)), maximum=lambda a, b: _c(np.maximum(a, b)), abs=lambda x: _c(np.abs(x)),
    where=lambda c, a, b: _c(np.where(c, a, b)), float32=np.float64, int32=np.int64,
)  # fmt: skip
_RUN = {
    "tl": _TL,
    "floor_div": lambda a, b: _c(np.floor_divide(np.asarray(a), np.asarray(b))),
    "floor_mod": lambda a, b: _c(np.mod(np.asarray(a), np.asarray(b))),
}


def printed(rng: np.random.Generator) -> list[str]:
    """The statements of a kernel, run with NumPy, mean the expression; so does its simplified form."""
    from attngen.emit.names import printer
    from attngen.expr.axis import Axis
    from attngen.expr.evaluate import evaluate
    from attngen.expr.simplify import simplify

    tree, _ = _grown(rng, leaves=("q", "kv", "b", "h"), tensors=False, score=False)
    scope = _scope({})
    expr, env = _parsed(text(tree), scope, False), _environment({}, scope)
    env = replace(env, index={**env.index, "b": np.asarray(1), "h": np.asarray(2)})
    wanted = evaluate(expr, env)
    simple = simplify(expr)
    problems = _differ("simplified", evaluate(simple, env), wanted)
    lines = printer((), (), packed=False, clamp_keys=False).statements(simple, "out", Axis.BOTH)
    leaves = {"batch": 1, "head": 2, "offs_m": np.arange(ROWS), "offs_n": np.arange(KEYS)}
    names: dict[str, Any] = {**_RUN, **{name: _c(x) for name, x in leaves.items()}}
    exec("\n".join(lines), names)
    problems += _differ("printed", names["out"], wanted)
    return [*problems, text(tree), *lines] if problems else []


# specs


def schedules(rng: np.random.Generator) -> list[str]:
    """No tile is missed or visited twice, and a full one is full."""
    import torch

    from attngen.checking.inputs import arguments
    from attngen.checking.tiles import judge
    from attngen.expr.simplify import simplify
    from attngen.language.arrays import to_numpy
    from attngen.tiling.build import build_inverse, build_schedule
    from attngen.tiling.call import Call

    alone = replace(random_sources(rng), scores=[], scale=None, sink=None, normalizer=None)
    sizes = {"batch": int(rng.integers(1, 3)), "m": int(rng.choice(LENGTHS)), "n": int(rng.choice(LENGTHS))}
    case = Case.of({**pruned(alone).record(), **sizes})
    spec = build_spec(case)
    definition = spec.definition
    q_tile, kv_tile = TILES[rng.integers(len(TILES))]
    inverse = bool(rng.random() < 0.2)
    packed = not inverse and definition.heads.group > 1 and rng.random() < 0.2
    generator = torch.Generator().manual_seed(int(rng.integers(1000)))
    given = arguments(definition, case.batch, case.m, case.n, generator, spec.captured)
    params = {param.name: given[param.name] for param in definition.params}
    arrays: dict[Any, Any] = {ref.name: to_numpy(given[ref.name]) for ref in definition.tensors}
    group = definition.heads.group if packed else 1
    call = Call(case.m, case.n, case.batch, definition.heads.q, params, arrays, heads_a_tile=group)
    mask = simplify(definition.mask)
    if inverse:
        made = build_inverse(mask, q_tile=q_tile, kv_tile=kv_tile, params=definition.params)
    else:
        made = build_schedule(mask, q_tile=q_tile, kv_tile=kv_tile, row_heads=packed, params=definition.params)
    b, h = int(rng.integers(case.batch)), int(rng.integers(definition.heads.q // group))
    verdict = judge(made, call, b, h, inverse=inverse)
    if not verdict.unsound:
        return []
    call_text = (
        f"M={case.m} N={case.n} {params} tiles {q_tile} x {kv_tile} inverse={inverse} packed={packed} b={b} h={h}"
    )
    return [verdict.unsound, call_text, str(case)]


def _without_arrays(rng: np.random.Generator) -> Case:
    """A case that TOML can hold, if one comes up soon."""
    case = random_sources(rng)
    for _ in range(10):
        if not case.tensors and "'mod'" not in str(case.record()):
            break
        case = random_sources(rng)
    return case


def specs(rng: np.random.Generator) -> list[str]:
    """A spec built again, for other lengths, pickled, or written as TOML and read back, is the same."""
    from attngen.language import toml

    case = _without_arrays(rng) if rng.random() < 0.5 else random_sources(rng)
    case = replace(case, batch=2, m=33, n=47)
    spec = build_spec(case)
    others: dict[str, Callable[[], Any]] = {
        "built again": partial(build_spec, case),
        "built for other lengths": partial(build_spec, replace(case, batch=3, m=50, n=64)),
        "renamed": partial(spec.replace, name="other", doc="text"),
    }
    if not case.tensors and "'mod'" not in str(case.record()):
        others["pickled"] = lambda: pickle.loads(pickle.dumps(spec))
        others["as TOML"] = lambda: toml.loads(toml.dump(spec))
    problems = []
    for name, make in others.items():
        try:
            other = make()
        except SpecError as error:
            problems.append(f"{name}: {error}")
            continue
        if other.fingerprint != spec.fingerprint:
            problems.append(f"{name}: another fingerprint")
    return [*problems, str(case)] if problems else []


CHECKS: dict[str, Callable[[np.random.Generator], list[str]]] = {
    "strings": strings,
    "callables": callables,
    "printed": printed,
    "schedules": schedules,
    "specs": specs,
}
