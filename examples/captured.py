"""New documents, a new bias and a new window in every batch: one kernel, compiled once.

    python examples/captured.py

`doc_id` is captured by the mask as in FlexAttention and replaced by name at a call; `table` and `window`
are declared. None of their values is part of the kernel.
"""

from __future__ import annotations

import torch

import attngen as ag

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BATCH, LENGTH, HEADS = 2, 192, 4
generator = torch.Generator().manual_seed(0)


def random_documents() -> torch.Tensor:
    """Ids that ascend along the sequence: five documents packed into each row."""
    cuts = torch.randint(0, LENGTH, (BATCH, 4), generator=generator).sort().values
    return (torch.arange(LENGTH)[None, :, None] >= cuts[:, None, :]).sum(-1).to(DEVICE, torch.int32)


doc_id = random_documents()


def same_document(b, h, q_idx, kv_idx):
    return doc_id[b, q_idx] == doc_id[b, kv_idx]


spec = ag.AttentionSpec(
    name="packed",
    heads=HEADS,
    head_dim=64,
    mask=ag.causal() & same_document & ag.sliding_window("window"),
    score=ag.relative_bias("table"),
    params={"window": "int32"},
    tensors={"table": ag.TensorSpec(shape=("H", 129), dtype="fp32")},
)
attend = ag.compile(spec)

for step in range(3):
    doc_id_now = random_documents()
    table = torch.randn(HEADS, 129, generator=generator).to(DEVICE)
    q, k, v = (torch.randn(BATCH, HEADS, LENGTH, 64, generator=generator).to(DEVICE, torch.float16) for _ in range(3))
    values = {"doc_id": doc_id_now, "table": table, "window": 48 + 16 * step}
    out = attend(q, k, v, **values)
    want, _ = ag.reference(spec, q, k, v, **values)
    error = abs(out.cpu().double().numpy() - want).max()
    print(f"batch {step}: window {values['window']}, largest difference to the oracle {error:.1e}")

print(f"kernels compiled: {len(attend.loaded)}")
