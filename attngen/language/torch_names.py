"""torch's functions and tensor methods by name, over traced values. torch itself is not imported."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from attngen.expr.op import Kind
from attngen.language.captured import Scalar, Session, View, refuse, traced
from attngen.language.torch_functions import ELEMENTWISE, SPECIAL, row

RANDOM = frozenset({"rand", "randn", "randint", "rand_like", "randn_like", "bernoulli", "normal", "dropout"})
_REMEDY = {
    "item": "keep it as a tensor: the value is known only inside the kernel",
    "tolist": "keep it as a tensor: the value is known only inside the kernel",
    "softmax": "a score changes one score at a time; the normaliser is the spec's",
    "cumsum": "compute running sums before the call and capture the tensor",
    "setitem": "a callable reads: compute the tensor before the call",
    "contains": "capture a table of flags and subscript that: flags[kv_idx]",
    "isin": "capture a table of flags and subscript that: flags[kv_idx]",
    **dict.fromkeys(("gather", "index_select", "take", "embedding"), "subscript the tensor: table[q_idx]"),
    **dict.fromkeys(RANDOM, "draw random numbers before the call and capture them as a tensor"),
}


def call(s: Session, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """torch's ``name(*args, **kwargs)`` over traced values; ``.name`` asks for an attribute instead."""
    if name.startswith("."):
        return _attribute(s, args[0], name[1:])
    if name.startswith("reflected "):
        args, name = tuple(reversed(args)), name.removeprefix("reflected ")
    kwargs = dict(kwargs)
    args = [*args, *(kwargs.pop(key) for key in ("condition", "input", "self", "other", "exponent") if key in kwargs)]
    if kwargs.pop("out", None) is not None:
        refuse(f"{name}(out=)", "leave `out` away")
    if name in SPECIAL:
        return SPECIAL[name](s, *args, **kwargs)
    if name in ELEMENTWISE and not kwargs:
        return s.map(ELEMENTWISE[name], *args)
    views = [item for item in traced(args) if isinstance(item, View) and item.constant]
    if views and len(views) == len(list(traced(args))):
        return _now(name, args, kwargs)
    refuse(name, _REMEDY.get(name) or f"compute it of elementwise functions, or before the call{_near(name)}")


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, [*SPECIAL, *ELEMENTWISE], n=1)
    return f" (did you mean `{near[0]}`?)" if near else ""


def _now(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Of captured values alone: torch computes it while tracing."""
    real = [item.value if isinstance(item, View) else item for item in args]
    method = getattr(real[0], name, None)
    if method is None:
        refuse(name, "compute it before the call")
    return method(*real[1:], **kwargs)


def _attribute(s: Session, x: Any, name: str) -> Any:
    if isinstance(x, View) and x.constant and x.open:
        return getattr(x.value, name)  # shapes, transposes and sums of a captured tensor are computed now
    if name in SPECIAL or name in ELEMENTWISE:
        return lambda *args, **kwargs: call(s, name, (x, *args), kwargs)
    if isinstance(x, View) and x.constant and not x.open:
        return getattr(x.value, name)
    if name in ("dtype", "device"):
        return _torch_attribute(s, x, name)
    answers: dict[str, Any] = {"shape": (), "ndim": 0, "requires_grad": False, "is_cuda": False}
    if isinstance(x, Scalar) and name in answers:
        return answers[name]
    if isinstance(x, Scalar) and name in ("dim", "size", "numel"):
        return lambda: {"dim": 0, "size": (), "numel": 1}[name]
    refuse(f".{name}", _REMEDY.get(name) or f"use operators or torch's elementwise functions{_near(name)}")


def _torch_attribute(s: Session, x: Any, name: str) -> Any:
    torch = sys.modules.get("torch")
    if torch is None:
        refuse(f".{name}", "import torch first")
    if name == "device":
        return torch.device("cpu")
    kind = row(s, x)[0].kind
    return {Kind.BOOL: torch.bool, Kind.INT: torch.int32, Kind.FLOAT: torch.float32}[kind]
