"""Triton's interpreter, with bfloat16 repaired.

With TRITON_INTERPRET=1 kernels run as NumPy on the CPU. Up to 3.9 that interpreter keeps bfloat16 as
raw uint16 and computes on the bits: `tl.dot` and arithmetic are silently wrong, conversions truncate
instead of rounding to nearest even. The repair widens to float32, computes, and rounds back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from attngen.errors import RuntimeMissingError

TESTED = ((3, 6), (3, 7), (3, 8), (3, 9))
_MARK = "_attngen_bf16"
_lock = threading.Lock()


def interpreting() -> bool:
    """Whether the environment asks for the interpreter (the words that Triton takes for true)."""
    return os.environ.get("TRITON_INTERPRET", "").strip().lower() in {"1", "true", "yes", "on", "y"}


def bf16_to_fp32(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def fp32_to_bf16(values: np.ndarray) -> np.ndarray:
    """Round to nearest even, as the hardware does; NaN stays NaN."""
    values = np.asarray(values, dtype=np.float32)
    bits = values.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16
    return np.where(np.isnan(values), (bits >> 16) | np.uint32(0x40), rounded).astype(np.uint16)


def repair() -> bool:
    """Repair the interpreter of this process once. Returns whether it is in force; no effect when compiling."""
    if not interpreting():
        return False
    with _lock:
        import triton.language as tl
        from triton.runtime import interpreter

        builder = interpreter.InterpreterBuilder
        if not isinstance(tl.sum, interpreter.InterpretedFunction):
            raise RuntimeMissingError(
                "TRITON_INTERPRET=1 was set after triton had been imported",
                place="the environment",
                remedy="set it before Python starts: TRITON_INTERPRET=1 python ...",
            )
        if not getattr(builder, _MARK, False):
            _install(builder, interpreter, tl)
            setattr(builder, _MARK, True)
    return True


def _install(builder: Any, interpreter: Any, tl: Any) -> None:
    Handle = interpreter.TensorHandle
    wanted = (
        "cast_impl create_fp_to_fp binary_op ternary_op unary_op create_fma create_rsqrt create_erf create_dot "
        "create_splat"
    )
    missing = [name for name in wanted.split() if not hasattr(builder, name)]
    if missing:
        raise RuntimeMissingError(
            f"this Triton's interpreter has no {', '.join(missing)}: bfloat16 cannot be repaired",
            place="triton.runtime.interpreter",
            remedy=f"use Triton {'.'.join(map(str, TESTED[0]))} to {'.'.join(map(str, TESTED[-1]))}",
        )

    def is_bf16(handle: Any) -> bool:
        # results of comparisons keep the label of their operands but hold bools
        return isinstance(handle, Handle) and handle.dtype.scalar == tl.bfloat16 and handle.data.dtype == np.uint16

    def widen(value: Any) -> Any:
        return Handle(bf16_to_fp32(value.data), tl.float32) if is_bf16(value) else value

    def narrow(handle: Any) -> Any:
        return Handle(fp32_to_bf16(handle.data), tl.bfloat16) if handle.data.dtype == np.float32 else handle

    def in_fp32(original: Callable[..., Any]) -> Callable[..., Any]:
        def computed(self: Any, *args: Any) -> Any:
            if not any(is_bf16(arg) for arg in args):
                return original(self, *args)
            return narrow(original(self, *(widen(arg) for arg in args)))

        return computed

    for name in ("binary_op", "ternary_op", "unary_op", "create_fma", "create_rsqrt", "create_erf"):
        setattr(builder, name, in_fp32(getattr(builder, name)))

    def is_fp8(dtype: Any) -> bool:
        return bool(dtype.is_floating() and dtype.primitive_bitwidth == 8)

    original_cast, original_fp_to_fp, original_dot = builder.cast_impl, builder.create_fp_to_fp, builder.create_dot

    def cast_impl(self: Any, src: Any, dst_type: Any) -> Any:
        to = dst_type.scalar
        if is_fp8(src.dtype.scalar) or is_fp8(to) or not (is_bf16(src) or to == tl.bfloat16):
            return original_cast(self, src, dst_type)
        if to == tl.bfloat16:
            return src if is_bf16(src) else Handle(fp32_to_bf16(src.data), to)
        return Handle(widen(src).data.astype(interpreter._get_np_dtype(dst_type)), to)

    def create_fp_to_fp(self: Any, src: Any, dst_type: Any, rounding_mode: Any) -> Any:
        # asked for rounding towards zero, the original is right: it truncates
        to = dst_type.scalar
        truncate = rounding_mode == interpreter._ir.ROUNDING_MODE.RTZ
        if truncate or is_fp8(src.dtype.scalar) or is_fp8(to) or not (is_bf16(src) or to == tl.bfloat16):
            return original_fp_to_fp(self, src, dst_type, rounding_mode)
        return cast_impl(self, src, dst_type)

    def create_dot(self: Any, a: Any, b: Any, d: Any, *options: Any) -> Any:
        return original_dot(self, widen(a), widen(b), d, *options)

    def get_bf16(self: Any, value: float) -> Any:
        return Handle(fp32_to_bf16(np.array([value], dtype=np.float32)), tl.bfloat16)

    builder.cast_impl, builder.create_fp_to_fp, builder.create_dot = cast_impl, create_fp_to_fp, create_dot
    builder.get_bf16 = get_bf16

    original_splat = builder.create_splat

    def create_splat(self: Any, ret_ty: Any, arg: Any) -> Any:
        # a scalar condition is a bool under an integer's label; 3.9 refuses masks that are widened to that label
        if arg.data.dtype == np.bool_:
            return Handle(np.full(ret_ty.shape, arg.data.item()), arg.dtype.scalar)
        return original_splat(self, ret_ty, arg)

    builder.create_splat = create_splat
    original_patch = interpreter._patch_lang_tensor

    def patch_lang_tensor(tensor: Any, scope: Any) -> None:
        original_patch(tensor, scope)
        # 3.6 converts arrays of one element with int(), which NumPy 2.4 refuses: loops over loaded bounds fail
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patch_lang_tensor
