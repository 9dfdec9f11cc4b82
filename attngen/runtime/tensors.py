"""What a call is checked for: shapes, dtypes, devices, names. Each message has the value, the place and the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attngen.errors import CallError, RuntimeMissingError, did_you_mean
from attngen.expr.op import Param, TensorRef
from attngen.language.definition import Definition
from attngen.runtime.interpreter import interpreting
from attngen.targets.cpu import find_cpu

_TORCH_NAMES = {
    "fp16": "float16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "fp64": "float64",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
}
_OUR_NAMES = {f"torch.{theirs}": ours for ours, theirs in _TORCH_NAMES.items()}
COMPUTE_DTYPES = ("fp16", "bf16", "fp32")
NATIVE_DTYPES = (*COMPUTE_DTYPES, "fp64")


@dataclass(frozen=True, slots=True)
class Sizes:
    """The lengths of a call."""

    batch: int
    m: int
    n: int


def dtype_name(tensor: Any) -> str:
    """bf16 for torch.bfloat16, and so on; torch's own name where we have none."""
    return _OUR_NAMES.get(str(tensor.dtype), str(tensor.dtype))


def torch_dtype(name: str) -> Any:
    import torch

    return getattr(torch, _TORCH_NAMES[name])


def torch_tensors(refs: Sequence[TensorRef], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """NumPy arrays by name as tensors of the dtypes that ``refs`` declare."""
    import torch

    dtypes = {ref.name: torch_dtype(ref.dtype) for ref in refs}
    return {name: torch.from_numpy(x).to(dtypes[name]) for name, x in arrays.items()}


def _shape(tensor: Any) -> str:
    return str(list(tensor.shape))


class Checker:
    """Checks against one definition; ``name`` is the spec's, for the messages."""

    def __init__(self, name: str, definition: Definition) -> None:
        self.name, self.definition = name, definition

    def fail(self, argument: str, what: str, remedy: str) -> CallError:
        return CallError(what, place=f"{self.name}, argument `{argument}`", remedy=remedy)

    def tensors(self, q: Any, k: Any, v: Any) -> None:
        """Three tensors of four dimensions."""
        for argument, tensor in (("q", q), ("k", k), ("v", v)):
            if not hasattr(tensor, "data_ptr"):
                raise self.fail(argument, f"a {type(tensor).__name__}, not a torch tensor", "pass torch tensors")
            if "strided" not in str(tensor.layout):
                raise self.fail(argument, f"layout {tensor.layout}", f"pass a dense tensor: {argument}.to_dense()")
            if tensor.dim() != 4:
                raise self.fail(
                    argument,
                    f"shape {_shape(tensor)} has {tensor.dim()} dimensions",
                    "use [batch, heads, rows, head_dim]",
                )

    def inputs(self, q: Any, k: Any, v: Any, dtypes: Sequence[str] = COMPUTE_DTYPES) -> Sizes:
        """q [B, Hq, M, Dqk], k [B or 1, Hkv, N, Dqk], v [B or 1, Hkv, N, Dv]: one dtype of these, one device."""
        heads, dim = self.definition.heads, self.definition.head_dim
        batch, m, n = q.shape[0], q.shape[2], k.shape[2]
        self._expect("q", q, (batch, heads.q, m, dim.qk), "[B, Hq, M, D]")
        kv_batch = 1 if k.shape[0] == 1 else batch
        self._expect("k", k, (kv_batch, heads.kv, n, dim.qk), "[B or 1, Hkv, N, D]")
        self._expect("v", v, (1 if v.shape[0] == 1 else batch, heads.kv, n, dim.v), "[B or 1, Hkv, N, Dv]")
        dtype = dtype_name(q)
        wanted = (self.definition.dtype,) if self.definition.dtype else dtypes
        if dtype not in wanted:
            raise self.fail(
                "q", f"dtype {dtype}, the spec says {' or '.join(wanted)}", f"q.to({torch_dtype(wanted[0])})"
            )
        for argument, tensor in (("k", k), ("v", v)):
            if tensor.dtype != q.dtype:
                raise self.fail(argument, f"dtype {dtype_name(tensor)}, q has {dtype}", f"{argument}.to({q.dtype})")
            if tensor.device != q.device:
                raise self.fail(argument, f"on {tensor.device}, q is on {q.device}", f"{argument}.to(q.device)")
        return Sizes(batch, m, n)

    def _expect(self, argument: str, tensor: Any, wanted: Sequence[int], letters: str) -> None:
        if tuple(tensor.shape) != tuple(wanted):
            heads, dim = self.definition.heads, self.definition.head_dim
            raise self.fail(
                argument,
                f"shape {_shape(tensor)}, expected {list(wanted)} = {letters}",
                f"the spec has {heads.q} query and {heads.kv} key/value heads of {dim.qk}"
                + (f" (values {dim.v})" if dim.v != dim.qk else ""),
            )

    def no_gradient(self, q: Any, k: Any, v: Any) -> None:
        import torch

        if torch.is_grad_enabled():
            for argument, tensor in (("q", q), ("k", k), ("v", v)):
                if tensor.requires_grad:
                    raise self.fail(
                        argument,
                        "requires a gradient, and the kernel has no backward",
                        f"call under torch.no_grad(), or pass {argument}.detach()",
                    )

    def output(self, out: Any, q: Any, sizes: Sizes) -> None:
        if not hasattr(out, "data_ptr"):
            raise self.fail(
                "out", f"a {type(out).__name__}, not a torch tensor", "torch.empty_like(q), or leave it out"
            )
        heads, dim = self.definition.heads, self.definition.head_dim
        self._expect("out", out, (sizes.batch, heads.q, sizes.m, dim.v), "[B, Hq, M, Dv]")
        if out.dtype != q.dtype or out.device != q.device:
            raise self.fail(
                "out", f"{dtype_name(out)} on {out.device}, q is {dtype_name(q)} on {q.device}", "torch.empty_like(q)"
            )

    @property
    def _names(self) -> list[str]:
        return [p.name for p in self.definition.params] + [t.name for t in self.definition.tensors]

    def only_known(self, values: Mapping[str, Any]) -> None:
        """No name that the spec does not have."""
        for name in values:
            if name not in self._names:
                words = [*self._names, "return_lse", "out"]
                raise self.fail(name, "the spec has no such parameter or tensor", did_you_mean(name, words))

    def names(self, values: Mapping[str, Any], captured: Mapping[str, Any]) -> None:
        self.only_known(values)
        for name in self._names:
            if name not in values and name not in captured:
                raise self.fail(name, "missing", f"pass {name}=...")

    def param(self, param: Param, value: Any) -> int | float:
        """The value as the kernel takes it: an int for int32, a float for float32 (the other would recompile)."""
        if hasattr(value, "data_ptr"):
            raise self.fail(param.name, "a tensor, not a number", f"{param.name}.item(), which waits for the GPU")
        try:
            number = value.__index__() if param.dtype == "int32" else float(value)
        except (AttributeError, TypeError, ValueError):
            raise self.fail(param.name, f"{value!r} is no {param.dtype}", "pass a Python number") from None
        if param.dtype == "int32" and not -(2**31) <= number < 2**31:
            raise self.fail(param.name, f"{number} does not fit into int32", "pass a number below 2**31")
        return number

    def tensor(self, ref: TensorRef, tensor: Any, sizes: Sizes, device: Any) -> None:
        """A declared tensor, or one that replaces a captured tensor."""
        if not hasattr(tensor, "data_ptr"):
            raise self.fail(ref.name, f"a {type(tensor).__name__}, not a torch tensor", "torch.as_tensor(...)")
        if tensor.device != device:
            raise self.fail(ref.name, f"on {tensor.device}, q is on {device}", f"{ref.name}.to(q.device)")
        if dtype_name(tensor) != ref.dtype:
            raise self.fail(
                ref.name,
                f"dtype {dtype_name(tensor)}, the spec says {ref.dtype}",
                f"{ref.name}.to({torch_dtype(ref.dtype)})",
            )
        heads = self.definition.heads
        letters = {"B": sizes.batch, "H": heads.q, "Hkv": heads.kv, "M": sizes.m, "N": sizes.n}
        wanted = [letters.get(dim, -1) if isinstance(dim, str) else dim for dim in ref.shape]
        # longer is fine (positions up to a maximum length, kept once): what is beyond is not read
        fits = tensor.dim() == ref.rank and all(
            have == 1 or (have >= 1 if want is None else have >= want)
            for have, want in zip(tensor.shape, wanted, strict=True)
        )
        if not fits:
            text = ", ".join("any" if dim is None else str(dim) for dim in ref.shape)
            raise self.fail(
                ref.name,
                f"shape {_shape(tensor)}, expected [{text}]",
                f"here {', '.join(f'{x} = {size}' for x, size in letters.items())}; a dimension of 1 broadcasts",
            )


def way_to_run(tensor: Any, backend: str | None = None, target: str | None = None) -> str:
    """``native`` code, or Triton: ``launch`` on a GPU, ``interpret`` on the CPU; an error where there is no way.

    A request is never replaced by another: a GPU named as target means Triton, as the backend "triton" does.
    """
    where = tensor.device.type
    if backend == "cpu" or is_native(target):
        if where == "cpu":
            return "native"
        raise RuntimeMissingError(
            f"native code cannot run on {tensor.device} tensors",
            place="attngen.compile(...)",
            remedy="move the tensors to the CPU, or leave backend and target out",
        )
    if where == "cuda":  # torch's name for HIP devices as well
        return "interpret" if interpreting() else "launch"
    if where == "cpu" and interpreting():
        return "interpret"
    if where == "cpu" and backend is None and target is None:
        return "native"
    raise RuntimeMissingError(
        f"a Triton kernel cannot run on {tensor.device} tensors",
        place="attngen.compile(...)",
        remedy='move the tensors to a GPU, leave backend and target out (or backend="cpu") to run native code, '
        "or set TRITON_INTERPRET=1 before Python starts to interpret on the CPU",
    )


def is_native(target: str | None) -> bool:
    """Whether a target is a CPU: "cpu", or a level of vector instructions such as "avx2"."""
    return target is not None and find_cpu(target) is not None


def target_of(tensor: Any) -> str:
    """The architecture of the tensor's GPU as `targets.toml` knows it: sm_90, gfx942."""
    import torch

    facts = torch.cuda.get_device_properties(tensor.device)
    if torch.version.hip:
        return str(facts.gcnArchName).split(":")[0]
    return f"sm_{facts.major}{facts.minor}"
