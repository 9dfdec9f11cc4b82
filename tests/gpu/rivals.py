"""Who is timed: attngen, PyTorch's SDPA, compiled FlexAttention, and each FlashAttention that is installed.

Each gets the numbers in the layout that it likes best, prepared beforehand: a mask of pairs, a block mask, packed
documents, [B, M, H, D]. Only the call is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

import attngen as ag
from tests.gpu.device import Gpu
from tests.gpu.workloads import Workload, documents_of, ids_of

OURS = "attngen"


@dataclass(frozen=True)
class Entry:
    """``call`` is None where the rival has no such variant or could not be prepared: ``note`` says why.

    ``restore`` brings an output to [B, H, M, D].
    """

    name: str
    call: Callable[[], Any] | None
    note: str = ""
    restore: Callable[[Any], torch.Tensor] = lambda out: out


@dataclass(frozen=True)
class Inputs:
    """q [B, H, M, D], k and v [B, Hkv, N, D]."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor


def entries(work: Workload, device: Gpu) -> tuple[Any, list[Entry]]:
    """attngen's callable, and everyone ready to be called: attngen first."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[work.dtype]
    (hq, hkv), shape = work.heads, (work.batch, work.n, work.dim)
    q = device.random((work.batch, hq, work.m, work.dim), dtype, 0)
    k, v = (device.random((shape[0], hkv, *shape[1:]), dtype, seed) for seed in (1, 2))
    given = Inputs(q, k, v)
    attention = ag.compile(work.spec(), target=device.target)
    found = [Entry(OURS, partial(attention, q, k, v))]
    makers: dict[str, Callable[[], Entry]] = {
        "SDPA": lambda: sdpa(work, given, device),
        "FlexAttention": lambda: flex(work, given, device),
    }
    for name, (dense, varlen) in device.flash().items():
        makers[name] = partial(flash, name, work, given, dense, varlen)
    for name, make in makers.items():
        try:
            found.append(make())
        except Exception as error:  # a rival that cannot be prepared is a note in the table
            found.append(Entry(name, None, f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"))
    return attention, found


def sdpa(work: Workload, given: Inputs, device: Gpu) -> Entry:
    """Its own choice of a backend. Windows and documents need a mask of all pairs there."""
    variant, options = work.variant, dict[str, Any]()
    if variant.cap:
        return Entry("SDPA", None, "has no soft cap")
    note = ""
    if variant.window or variant.documents:
        options["attn_mask"], note = pairs_mask(work, given.q.device), "a mask of all pairs"
    elif variant.causal and not variant.decode:  # a single query sees every key
        options["is_causal"] = True
    if work.heads[0] != work.heads[1]:
        options["enable_gqa"] = True
    return Entry("SDPA", partial(device.sdpa(), given.q, given.k, given.v, **options), note)


def pairs_mask(work: Workload, where: torch.device) -> torch.Tensor:
    """bool [M, N]: kept pairs."""
    rows, columns = torch.arange(work.m, device=where)[:, None], torch.arange(work.n, device=where)[None, :]
    return flex_mask(work, where)(None, None, rows, columns)  # type: ignore[misc,no-any-return]


def flex_mask(work: Workload, where: torch.device) -> Callable[..., Any] | None:
    """The mask as FlexAttention's callable; None where everything is kept."""
    variant = work.variant
    if not variant.causal or variant.decode:
        return None
    window, ids = variant.window, ids_of(work.n).to(where) if variant.documents else None

    def mask_mod(b: Any, h: Any, q: Any, kv: Any) -> Any:
        keep = q >= kv
        keep = keep & (q - kv < window) if window else keep
        return keep & (ids[q] == ids[kv]) if ids is not None else keep

    return mask_mod


def flex(work: Workload, given: Inputs, device: Gpu) -> Entry:
    """Compiled for these shapes, with its block mask made beforehand."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    mask_mod, where = flex_mask(work, given.q.device), given.q.device
    cap = work.variant.cap

    def score_mod(score: Any, b: Any, h: Any, q: Any, kv: Any) -> Any:
        return cap * torch.tanh(score / cap)

    block_mask = None if mask_mod is None else create_block_mask(mask_mod, None, None, work.m, work.n, device=where)
    call = partial(
        device.compiled(flex_attention),
        given.q,
        given.k,
        given.v,
        score_mod=score_mod if cap else None,
        block_mask=block_mask,
        enable_gqa=work.heads[0] != work.heads[1],
    )
    return Entry("FlexAttention", call)


def flash(name: str, work: Workload, given: Inputs, dense: Callable[..., Any], varlen: Callable[..., Any]) -> Entry:
    """[B, M, H, D], or documents packed end to end."""
    variant = work.variant
    options: dict[str, Any] = {"causal": variant.causal}
    options |= {"window_size": (variant.window - 1, 0)} if variant.window else {}
    options |= {"softcap": variant.cap} if variant.cap else {}
    q, k, v = (x.transpose(1, 2).contiguous() for x in (given.q, given.k, given.v))
    if not variant.documents:
        return Entry(name, partial(dense, q, k, v, **options), restore=lambda out: first(out).transpose(1, 2))
    lengths = documents_of(work.n) * work.batch
    ends = torch.tensor([0, *lengths]).cumsum(0).int().to(q.device)
    packed = (x.reshape(-1, *x.shape[2:]) for x in (q, k, v))
    options |= {"cu_seqlens_q": ends, "cu_seqlens_k": ends, "max_seqlen_q": max(lengths), "max_seqlen_k": max(lengths)}
    return Entry(
        name,
        partial(varlen, *packed, **options),
        "packed documents",
        restore=lambda out: first(out).reshape(q.shape).transpose(1, 2),
    )


def first(out: Any) -> torch.Tensor:
    """Some versions return (out, lse)."""
    return out[0] if isinstance(out, tuple) else out
