"""Scenarios of compiled (not interpreted) launches with a stub driver; prints what happened as JSON.

A process of its own: whether Triton interprets is decided when it is imported.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from attngen.errors import CallError
from attngen.runtime.cache import Cache
from attngen.runtime.launch import Attention, Emitted, Request
from tests.runtime.sample import SampleSpec, attention, emitted, is_short
from tests.support.stub_driver import StubLauncher, stub_driver

emissions: list[Request] = []


def counting(request: Request) -> Emitted:
    emissions.append(request)
    return emitted(request)


def fresh(n: int = 64, emit: Callable[[Request], Emitted] = counting) -> Attention:
    doc = torch.arange(n, dtype=torch.int32) // 20
    return attention(SampleSpec(captured={"doc": doc}), Cache(Path(tempfile.mkdtemp())), emit, target="h100")


def inputs(batch: int = 2, m: int = 64, n: int = 64, kv_batch: int | None = None) -> list[torch.Tensor]:
    kv = kv_batch or batch
    return [torch.randn(b, h, rows, 16).bfloat16() for b, h, rows in ((batch, 4, m), (kv, 2, n), (kv, 2, n))]


def values(w: int = 8, temperature: float = 1.5) -> dict[str, Any]:
    return {"slopes": torch.rand(4), "W": w, "temperature": temperature}


def kernels(f: Attention) -> int:
    """Binaries that Triton has compiled for this variant."""
    functions = [x for one in f.loaded.values() for x in vars(one.module).values() if hasattr(x, "device_caches")]
    return sum(len(x.device_caches[0][0]) for x in functions if x.device_caches)


def last_launch() -> tuple[Any, ...]:
    """Grid and arguments of the last launch, tensors as addresses."""
    grid, args = StubLauncher.calls[-1]
    return grid, [x.data_ptr() if isinstance(x, torch.Tensor) else x for x in args]


def triton_launch(f: Attention, q: Any, k: Any, v: Any, out: Any, given: dict[str, Any]) -> tuple[Any, ...]:
    """The same call through Triton's own dispatch."""
    (loaded,) = f.loaded.values()
    k, v = (x.expand(q.shape[0], -1, -1, -1) for x in (k, v))
    kernel, grid, args, constants = loaded.module.prepare(q, k, v, out, None, **{"doc": f.captured["doc"], **given})
    kernel[grid](*args, **constants)
    return last_launch()


def one_kernel_for_everything() -> dict[str, Any]:
    emissions.clear()
    f = fresh(300)
    for n in (1, 16, 17, 63, 64, 77, 100, 128, 255, 256):
        doc = torch.arange(n, dtype=torch.int32) // 20
        for w in (1, 16, 37):
            f(*inputs(batch=1 + n % 3, m=max(17, n), n=n), doc=doc, **values(w, float(w)))
    _, k, v = inputs(m=63, n=63)
    doc = torch.zeros(63, dtype=torch.int32)
    wide = torch.randn(2, 63, 4, 48).bfloat16().transpose(1, 2)[..., :32:2]  # neither rows nor elements are adjacent
    f(wide, k, v, doc=doc, **values())
    return {"sources": len(emissions), "kernels": kernels(f)}


def one_emitted_kernel_for_everything() -> dict[str, Any]:
    """The same of a kernel that attngen emits."""
    import attngen

    params = {"W": "int32", "t": "float32"}
    spec = attngen.AttentionSpec("w", (4, 2), 16, mask="causal & sliding_window(W)", score="score * t", params=params)
    f = attngen.compile(spec, target="h100")
    for n in (17, 32, 63, 64, 77, 100, 128, 255, 256, 1000):
        for w in (1, 16, 37):
            f(*inputs(batch=1 + n % 3, m=n, n=n), W=w, t=float(w))
    q, k, v = inputs()
    f(q, k, v, W=1, t=2.0)
    return {"sources": len(f.loaded), "kernels": kernels(f), "short": is_short(lambda: f(q, k, v, W=999, t=0.5), f)}


def short_way_is_right() -> dict[str, Any]:
    f = fresh()
    out = torch.empty(2, 4, 64, 16).bfloat16()
    q = inputs()[0]
    f(q, q[:, :2], q[:, :2], out=out, **values())  # one storage three times: no telling q from k by address
    same = []
    for kv_batch in (2, 1):
        for w, temperature in ((8, 1.5), (16, 2.0), (1, 3)):
            q, k, v = inputs(kv_batch=kv_batch)
            given = values(w, temperature)
            f(q, k, v, out=out, **given)
            q, k, v = inputs(kv_batch=kv_batch)
            short = is_short(lambda: f(q, k, v, out=out, **given), f)  # noqa: B023
            mine = last_launch()
            theirs = triton_launch(f, q, k, v, out, {**given, "temperature": float(temperature)})
            first = 7  # made by the launcher at each preparation: another address
            mine[1][first] = theirs[1][first] = 0
            same.append(
                [short, mine == theirs, [type(x).__name__ for x in mine[1]] == [type(x).__name__ for x in theirs[1]]]
            )
    return {"same": same}


def aliased_inputs() -> dict[str, Any]:
    f = fresh()
    x = torch.randn(2, 4, 64, 16).bfloat16()
    kv = x[:, :2]
    given = values()
    for _ in range(2):
        f(x, kv, kv, **given)
    q, k, v = x.clone(), torch.randn(2, 4, 64, 16).bfloat16()[:, :2], torch.randn(2, 4, 64, 16).bfloat16()[:, :2]
    short = is_short(lambda: f(q, k, v, **given), f)
    pointers = last_launch()[1][:3]
    return {"short": short, "right": pointers == [q.data_ptr(), k.data_ptr(), v.data_ptr()]}


def long_way_when_needed() -> dict[str, Any]:
    from triton import knobs

    f = fresh()
    given, (q, k, v) = values(), inputs()
    for _ in range(3):
        f(q, k, v, **given)
    answer: dict[str, Any] = {"warm": is_short(lambda: f(q, k, v, **given), f), "kernels": kernels(f)}
    odd = torch.randn(2 * 4 * 64 * 16 + 1).bfloat16()[1:].view(2, 4, 64, 16)
    answer["misaligned"] = is_short(lambda: f(odd, k, v, **given), f)
    answer["kernels after misaligned"] = kernels(f)
    answer["again"] = is_short(lambda: f(q, k, v, **given), f)
    halves = [x.half() for x in (q, k, v)]
    answer["another dtype"] = is_short(lambda: f(*halves, **given), f)
    before = last_launch()[1][7]
    f.captured["doc"].fill_(0)
    answer["captured changed"] = is_short(lambda: f(q, k, v, **given), f)
    answer["made anew"] = last_launch()[1][7] != before
    answer["settled"] = is_short(lambda: f(q, k, v, **given), f)
    doc = torch.zeros(64, dtype=torch.int32)
    f(q, k, v, doc=doc, **given)
    answer["replaced"] = is_short(lambda: f(q, k, v, doc=doc, **given), f)
    answer["replaced by another"] = is_short(lambda: f(q, k, v, doc=doc.clone(), **given), f)
    hook = lambda *args: None  # noqa: E731
    knobs.runtime.launch_enter_hook.add(hook)
    answer["profiled"] = is_short(lambda: f(q, k, v, **given), f)
    knobs.runtime.launch_enter_hook.remove(hook)
    learned = q.clone().requires_grad_()
    try:
        f(learned, k, v, **given)
        answer["gradient"] = "silent"
    except CallError as error:
        answer["gradient"] = error.what
    with torch.no_grad():
        answer["no_grad"] = is_short(lambda: f(learned, k, v, **given), f)
    for name, wrong in (("unknown", {"X": 1}), ("param", {"W": "x"}), ("range", {"W": 2**31})):
        try:
            f(q, k, v, **{**given, **wrong})
            answer[name] = "silent"
        except CallError as error:
            answer[name] = error.what
    return answer


def copies_of_the_launcher() -> dict[str, Any]:
    """A launcher that copies inputs: the copy belongs to one call, so it must never be replayed for another."""

    def copying(request: Request) -> Emitted:
        right = emitted(request)
        start = "    batch, heads, m, dim = q.shape\n"
        copies = "    q = q if q.stride(-1) == 1 else q.contiguous()\n    slopes = slopes * 1\n"
        return Emitted(right.text.replace(start, copies + start), right.plan, right.schedule)

    f = fresh(emit=copying)
    given, (q, k, v) = values(), inputs()
    wide = torch.randn(2, 4, 64, 32).bfloat16()[..., ::2]
    for _ in range(2):
        f(q, k, v, **given)
        f(wide, k, v, **given)
    answer = {
        "copied q": is_short(lambda: f(wide, k, v, **given), f),
        "same table": is_short(lambda: f(q, k, v, **given), f),
        "other table": is_short(lambda: f(q, k, v, **{**given, "slopes": torch.rand(4)}), f),
    }
    f(q, k, v, **given)
    given["slopes"].mul_(2)
    return answer | {"changed table": is_short(lambda: f(q, k, v, **given), f)}


def parameters_used_otherwise() -> dict[str, Any]:
    """A kernel specialised for W, and a launcher that computes with the temperature: no value stands for another."""

    def other(request: Request) -> Emitted:
        right = emitted(request)
        source = right.text.replace('"W",', "").replace("(temperature, W,", "(temperature * 2.0, W,")
        return Emitted(source, right.plan, right.schedule)

    f, given, (q, k, v) = fresh(emit=other), values(w=5), inputs()
    for _ in range(3):
        f(q, k, v, **given)
    return {
        "keyed": sorted(f._keyed),
        "same": is_short(lambda: f(q, k, v, **given), f),
        "other W": is_short(lambda: f(q, k, v, **{**given, "W": 16}), f),
        "other temperature": is_short(lambda: f(q, k, v, **{**given, "temperature": 4.0}), f),
        "passed": last_launch()[1][8],
        "kernels": kernels(f),
    }


def tile_lists_are_kept() -> dict[str, Any]:
    import attngen

    tiles = torch.ones(8, 8, dtype=torch.bool)
    f = attngen.compile(
        attngen.AttentionSpec("blocks", (4, 2), 16, mask=attngen.block_sparse(tiles, block=(32, 32))), target="h100"
    )
    (name,) = f.captured
    build, builds = f._build_tiles, []
    f._build_tiles = lambda *args: builds.append(1) or build(*args)  # type: ignore[func-returns-value]
    (q, k, v), counts = inputs(m=256, n=256), []
    for change in (
        lambda: None,
        lambda: None,
        lambda: tiles[0].fill_(False),
        lambda: None,
        f.forget,
    ):
        change()
        f(q, k, v)
        counts.append(len(builds))
    f(*inputs(m=100, n=100))
    counts.append(len(builds))
    other = tiles.clone()
    for _ in range(2):
        f(q, k, v, **{name: other})
        counts.append(len(builds))
    f(q, k, v)
    counts.append(len(builds))
    with torch.inference_mode():
        uncounted = tiles.clone()
    for _ in range(2):
        f(q, k, v, **{name: uncounted})
        counts.append(len(builds))
    return {"builds": counts}


def threads() -> dict[str, Any]:
    from concurrent.futures import ThreadPoolExecutor

    emissions.clear()
    f, given, (q, k, v) = fresh(), values(), inputs()
    with ThreadPoolExecutor(8) as pool:
        shapes = list(pool.map(lambda _: tuple(f(q, k, v, **given).shape), range(64)))
    return {
        "emissions": len(emissions),
        "modules": len({id(x.module) for x in f.loaded.values()}),
        "shapes": len(set(shapes)),
    }


def outputs() -> dict[str, Any]:
    f = fresh()
    given = values()
    q, k, v = inputs()
    moved = torch.randn(2, 64, 4, 16).bfloat16().transpose(1, 2)
    seen = []
    for query in (q, moved):
        for _ in range(3):
            out, lse = f(query, k, v, return_lse=True, **given)
            seen.append([list(out.shape), list(out.stride()), str(out.dtype), list(lse.shape), str(lse.dtype)])
    return {"seen": seen}


def main() -> None:
    StubLauncher.record = True
    scenarios = (
        one_kernel_for_everything,
        one_emitted_kernel_for_everything,
        short_way_is_right,
        aliased_inputs,
        long_way_when_needed,
        copies_of_the_launcher,
        parameters_used_otherwise,
        tile_lists_are_kept,
        threads,
        outputs,
    )
    with stub_driver():
        print(json.dumps({scenario.__name__: scenario() for scenario in scenarios}))


if __name__ == "__main__":
    main()
