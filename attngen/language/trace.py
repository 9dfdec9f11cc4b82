"""FlexAttention callables, unchanged: ``mask_mod(b, h, q_idx, kv_idx)`` and ``score_mod(score, b, h, q_idx, kv_idx)``.

The callable runs once on traced scalars; what it does to them is the expression. torch functions reach
us through ``__torch_function__`` and, for captured tensors that are indexed with a traced scalar, a
`TorchFunctionMode`. NumPy arrays have no such hook: `bind` gives the callable views in their place.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from attngen.errors import AttngenError, TraceError
from attngen.expr.build import B_IDX, H_IDX, KV_IDX, Q_IDX, SCORE, to_bool, to_float
from attngen.expr.op import Expr, Kind, TensorRef, walk
from attngen.language import torch_names
from attngen.language.bind import array_names, bind
from attngen.language.captured import Session, function_name, traced

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_MOST_NODES = 5_000

Capture = Callable[[Any, str], TensorRef]
Pin = Callable[[TensorRef, int, int], None]


def trace_mask(mod: Callable[..., Any], capture: Capture, pin: Pin) -> Expr:
    """The bool expression of a mask_mod; arrays that it reads go through ``capture(array, name hint)``."""
    expr = _trace(mod, "mask_mod", "(b, h, q_idx, kv_idx)", [B_IDX, H_IDX, Q_IDX, KV_IDX], capture, pin)
    if expr.kind is Kind.FLOAT:
        raise TraceError(
            "a mask_mod returned a float", place=_where(mod), remedy="return a comparison: True keeps the key"
        )
    return to_bool(expr)


def trace_score(mod: Callable[..., Any], capture: Capture, pin: Pin) -> Expr:
    """The float expression of a score_mod, in terms of SCORE."""
    given = [SCORE, B_IDX, H_IDX, Q_IDX, KV_IDX]
    return to_float(_trace(mod, "score_mod", "(score, b, h, q_idx, kv_idx)", given, capture, pin))


def _trace(
    mod: Callable[..., Any], what: str, signature: str, given: Sequence[Expr], capture: Capture, pin: Pin
) -> Expr:
    session = Session(capture, pin, array_names(mod), torch_names.call)
    try:
        callable_ = bind(mod, session.view)
        with _torch_mode(session):
            result = callable_(*(session.scalar(expr) for expr in given))
            items = None if result is None else session.items(result)
    except TraceError as error:
        if error.place:
            raise
        raise TraceError(error.what, place=_line(error, mod), remedy=error.remedy) from error.__cause__
    except AttngenError as error:  # build.make: an operation between kinds that do not go together
        raise TraceError(error.what, place=_line(error, mod), remedy=error.remedy) from None
    except Exception as error:
        raise TraceError(
            f"the {what} fails while it is traced: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            place=_line(error, mod),
            remedy=f"it is called as {what}{signature} with traced scalars; use torch's elementwise functions on them",
        ) from error
    if items is None:
        raise TraceError(f"the {what} returned None", place=_where(mod), remedy="add a `return`")
    if isinstance(items, Expr) and (count := sum(1 for _ in walk(items))) > _MOST_NODES:
        raise TraceError(
            f"the {what} unrolls to {count} operations",
            place=_where(mod),
            remedy=f"at most {_MOST_NODES}: compute a tensor before the call and load from it",
        )
    if isinstance(items, tuple):
        raise TraceError(
            f"the {what} returned a row of {len(items)} values", place=_where(mod), remedy="reduce it: .any(), .sum()"
        )
    return items


def _torch_mode(session: Session) -> contextlib.AbstractContextManager[Any]:
    """Under this mode, torch hands us every function that involves a traced value. Nothing without torch."""
    if "torch" not in sys.modules:
        return contextlib.nullcontext()
    from torch.overrides import TorchFunctionMode

    class Tracing(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
        def __torch_function__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if session.paused:
                return func(*args, **kwargs)
            name = function_name(func)
            if any(True for _ in traced((*args, *kwargs.values()))) or _is_ours(name, args):
                return torch_names.call(session, name, args, kwargs)
            return func(*args, **kwargs)

    return Tracing()  # type: ignore[no-any-return, unused-ignore]


def _is_ours(name: str, args: Sequence[Any]) -> bool:
    """Calls without a traced value that concern us: ``torch.tensor(2.0)``, ``table[0]``, ``torch.rand(())``."""
    if name in ("tensor", "scalar_tensor"):
        return isinstance(args[0], (bool, int, float))
    if name in torch_names.RANDOM:
        return True
    if name != "getitem":
        return False
    keys = args[1] if isinstance(args[1], tuple) else (args[1],)
    return all(type(key) is int or key is Ellipsis or (isinstance(key, slice) and key == slice(None)) for key in keys)


def _where(mod: Callable[..., Any]) -> str:
    code = getattr(mod, "__code__", None) or getattr(getattr(mod, "func", None), "__code__", None)
    if code is None:
        return getattr(mod, "__name__", type(mod).__name__)
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"


def _line(error: BaseException, mod: Callable[..., Any]) -> str:
    """The innermost line that is neither ours nor a library's: the user's."""
    found, step = "", error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if not os.path.abspath(name).startswith(_PACKAGE) and "site-packages" not in name:
            text = linecache.getline(name, step.tb_lineno).strip()
            found = f"{os.path.basename(name)}:{step.tb_lineno}" + (f" `{textwrap.shorten(text, 80)}`" if text else "")
        step = step.tb_next
    return found or _where(mod)
