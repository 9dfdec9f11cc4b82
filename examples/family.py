"""A family of kernels from a loop: three windows, two head sizes, three GPUs, and none of the GPUs needed.

    python examples/family.py [DIRECTORY]

Every file stands alone: it imports torch and triton, and can be copied into another project.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import attngen as ag

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/family")
out.mkdir(parents=True, exist_ok=True)

for window, head_dim, target in product((512, 1024, 4096), (64, 128), ("a100", "h100", "mi300x")):
    spec = ag.AttentionSpec(
        name=f"window{window}_d{head_dim}",
        heads=(32, 8),
        head_dim=head_dim,
        mask=ag.causal() & (ag.sliding_window(window) | ag.sink(4)),
    )
    made = ag.generate(spec, target=target)
    file = out / f"{spec.name}_{target}.py"
    file.write_text(made.text)
    tile = f"{made.plan.block_m}x{made.plan.block_n}"
    print(f"{file}: tiles {tile}, {made.plan.num_warps} warps, {made.plan.num_stages} stages")
