"""A kernel of the shape that attngen emits, written by hand: documents, a window, ALiBi and a temperature.

The runtime's tests read this file as text. It has everything that a launch can have: captured and
declared tensors, a tensor made by the launcher, an int and a float parameter, sizes and strides.
"""

import torch
import triton
import triton.language as tl

PLAN = {"target": "h100", "block_m": 16, "block_n": 16, "num_warps": 4, "num_stages": 1}
TILE_LIST = False
LSE = True


@triton.jit(
    do_not_specialize=[
        "W", "M", "N", "H",
        "qb", "qh", "qm", "qd", "kb", "kh", "kn", "kd", "vb", "vh", "vn", "vd", "ob", "oh", "om", "doc_stride",
    ]
)  # fmt: skip
def kernel(
    Q, K, V, Out, Lse, Slopes, Doc, First,
    temperature, W, M, N, H: tl.int32,
    qb, qh, qm, qd, kb, kh, kn, kd, vb, vh, vn, vd, ob, oh, om, doc_stride,
    D: tl.constexpr, GROUP: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, WITH_LSE: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1) % H
    batch = (tl.program_id(1) // H).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    pos = rows + (N - M)
    d = tl.arange(0, D)
    row_ok = rows < M
    q_rows = Q + batch * qb + head * qh + rows[:, None].to(tl.int64) * qm + d[None, :] * qd
    q = tl.load(q_rows, mask=row_ok[:, None], other=0.0)
    slope = tl.load(Slopes + head)
    safe_pos = tl.minimum(tl.maximum(pos, 0), tl.maximum(N - 1, 0))
    row_doc = tl.load(Doc + safe_pos * doc_stride, mask=N > 0, other=-1)
    first = tl.load(First + safe_pos, mask=row_ok & (N > 0), other=N)
    k_head = K + batch * kb + (head // GROUP) * kh
    v_head = V + batch * vb + (head // GROUP) * vh
    top = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK_M,), tl.float32)
    acc = tl.zeros((BLOCK_M, D), tl.float32)
    lo = tl.min(first, 0) // BLOCK_N * BLOCK_N
    hi = tl.minimum(N, tl.max(pos, 0) + 1)
    for start in range(lo, hi, BLOCK_N):
        keys = start + tl.arange(0, BLOCK_N)
        key_ok = keys < N
        columns = keys[None, :].to(tl.int64)
        k = tl.load(k_head + columns * kn + d[:, None] * kd, mask=key_ok[None, :], other=0.0)
        score = tl.dot(q, k, input_precision="ieee") * (1.0 / D**0.5)
        score = (score + slope * (keys[None, :] - pos[:, None])) / temperature
        key_doc = tl.load(Doc + keys * doc_stride, mask=key_ok, other=-1)
        distance = pos[:, None] - keys[None, :]
        keep = (distance >= 0) & (distance < W) & (row_doc[:, None] == key_doc[None, :]) & key_ok[None, :]
        score = tl.where(keep, score, float("-inf"))
        new_top = tl.maximum(top, tl.max(score, 1))
        safe_top = tl.where(new_top == float("-inf"), 0.0, new_top)
        p = tl.exp(score - safe_top[:, None])
        shrink = tl.exp(top - safe_top)
        total = total * shrink + tl.sum(p, 1)
        v = tl.load(v_head + keys[:, None].to(tl.int64) * vn + d[None, :] * vd, mask=key_ok[:, None], other=0.0)
        acc = tl.dot(p.to(v.dtype), v, acc * shrink[:, None], input_precision="ieee")
        top = new_top
    out = acc / tl.where(total == 0.0, 1.0, total)[:, None]
    o_rows = Out + batch * ob + head * oh + rows[:, None].to(tl.int64) * om + d[None, :]
    tl.store(o_rows, out.to(Out.dtype.element_ty), mask=row_ok[:, None])
    if WITH_LSE:
        tl.store(Lse + tl.program_id(1) * M + rows, top + tl.log(total), mask=row_ok)


def prepare(q, k, v, out, lse, *, doc, slopes, W, temperature):
    batch, heads, m, dim = q.shape
    n = k.shape[2]
    first = torch.searchsorted(doc, doc).to(torch.int32)
    grid = (triton.cdiv(m, PLAN["block_m"]), batch * heads)
    tensors = (q, k, v, out, lse, slopes, doc, first)
    strides = (*q.stride(), *k.stride(), *v.stride(), *out.stride()[:3], doc.stride(0))
    numbers = (temperature, W, m, n, heads)
    constants = {
        "D": dim, "GROUP": heads // k.shape[1], "BLOCK_M": PLAN["block_m"], "BLOCK_N": PLAN["block_n"],
        "WITH_LSE": lse is not None, "num_warps": PLAN["num_warps"], "num_stages": PLAN["num_stages"],
    }  # fmt: skip
    return kernel, grid, (*tensors, *numbers, *strides), constants


def attention(q, k, v, *, return_lse=False, out=None, doc, slopes, W, temperature):
    out = torch.empty_like(q) if out is None else out
    lse = torch.empty(q.shape[:3], dtype=torch.float32, device=q.device) if return_lse else None
    launched, grid, args, constants = prepare(q, k, v, out, lse, doc=doc, slopes=slopes, W=W, temperature=temperature)
    launched[grid](*args, **constants)
    return (out, lse) if return_lse else out
