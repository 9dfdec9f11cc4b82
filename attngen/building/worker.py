"""The compiling process: one JSON request a line on stdin, one JSON answer a line on stdout.

A process of its own because the compiler may abort, and because Triton reads its environment once, when it
is imported: a parent that interprets kernels (TRITON_INTERPRET) could not compile them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from attngen.building.job import Compiled
from attngen.machine_code.kernel import read_amdgcn, read_cubin, to_record
from attngen.runtime.processes import serve


def compile_kernel(job: Mapping[str, Any]) -> Compiled:
    """Compile the kernel of an emitted source for the job's architecture; no GPU is needed."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from attngen.runtime.load import load

    started = time.perf_counter()
    kernel = getattr(load(job["source"]), job["kernel"])
    arguments = {item["name"]: item for item in job["arguments"]}
    constants = dict(job["constants"])
    constants |= {name: 1 for name, item in arguments.items() if item["constant"]}
    names = list(kernel.arg_names)
    if set(names) != arguments.keys() | constants.keys():
        raise ValueError(f"the kernel takes {names}, the signature has {[*arguments, *constants]}")
    source = ASTSource(
        kernel,
        {name: "constexpr" if name in constants else arguments[name]["type"] for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={
            (i,): [["tt.divisibility", 16]]
            for i, name in enumerate(names)
            if name in arguments and arguments[name]["divisible"]
        },
    )
    arch = int(job["arch"].removeprefix("sm_")) if job["backend"] == "cuda" else job["arch"]
    made = triton.compile(
        source,
        target=GPUTarget(job["backend"], arch, job["warp_size"]),
        # explicit: without it Triton 3.10 no longer folds the scale into the exponential's multiply-add
        options={"num_warps": job["num_warps"], "num_stages": job["num_stages"], "enable_fp_fusion": True},
    )
    return Compiled(
        binary=made.asm["hsaco" if job["backend"] == "hip" else "cubin"],
        assembly=made.asm["amdgcn"] if job["backend"] == "hip" else "",
        shared_bytes=made.metadata.shared,
        num_warps=_all_warps(made, job["num_warps"]),
        tensor_memory=getattr(made.metadata, "tmem_size", 0) or 0,
        seconds=round(time.perf_counter() - started, 2),
    )


def _all_warps(made: Any, num_warps: int) -> int:
    """With warp specialisation a block has more warps than were asked for."""
    _, found, rest = made.asm["ttgir"].partition('"ttg.total-num-warps" = ')
    return int(rest.split(" ")[0]) if found else num_warps


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Compile unless the request brings a binary, then read its machine code."""
    try:
        job = request["job"]
        record = request.get("compiled")
        compiled = Compiled.from_record(record) if record else compile_kernel(job)
        warps = job["num_warps"]
        amd = job["backend"] == "hip"
        kernel = read_amdgcn(compiled.assembly, warps) if amd else read_cubin(compiled.binary, warps)
        return {"compiled": None if record else compiled.to_record(), "kernel": to_record(kernel)}
    except Exception as error:  # the compiler raises anything at all; the parent says what it was
        return {"error": f"{type(error).__name__}: {str(error).strip() or 'no message'}"}


def main() -> None:
    serve(answer)


if __name__ == "__main__":
    main()
