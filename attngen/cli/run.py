"""``attngen run``: a kernel on random input, against the oracle."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attngen.cli.options import AsJson, DtypeName, PlanText, SpecPath, Values
from attngen.errors import RuntimeMissingError, SpecError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attngen.language.spec import AttentionSpec
    from attngen.sample import Sizes

# one unit in the last place of 1.0: rounding the weights costs half of it, rounding the output the other half
EPSILON = {"fp16": 2.0**-10, "bf16": 2.0**-7, "fp32": 2.0**-23}
SCORE_NOISE = 2.0**-16  # the error of fp32 scores, seen through exp
TF32_NOISE = 2.0**-7  # the same for products of 10-bit fractions
FLUSHED = {"fp16": 2.0**-25, "bf16": 0.0, "fp32": 0.0}  # weights below half the least fp16 number vanish
LSE_NOISE = 2.0**-14
MOST_PAIRS = 1 << 28
_WAYS = {"native": "cpu", "launch": "triton", "interpret": "triton interpreter"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far a kernel is from the oracle. ``where`` is the worst place (b, h, q, d); ``allowed`` holds there."""

    spec: str
    dtype: str
    shape: str
    backend: str
    error: float
    allowed: float
    where: tuple[int, ...]
    lse_error: float | None
    seconds: float

    @property
    def agrees(self) -> bool:
        lse_ok = self.lse_error is None or self.lse_error <= LSE_NOISE
        return self.error <= self.allowed and lse_ok


def run(
    spec: SpecPath,
    seqlen: Annotated[
        int, typer.Option("--seqlen", "-n", min=1, help="Keys, and queries too unless --queries is given.")
    ] = 256,
    queries: Annotated[
        int | None, typer.Option("--queries", "-m", min=1, help="Queries; they are the last of the keys.")
    ] = None,
    batch: Annotated[int, typer.Option("--batch", "-b", min=1)] = 1,
    heads: Annotated[
        str | None, typer.Option("--heads", metavar="Q,KV", help="Fewer heads than the spec has, to be quick.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", metavar="B", help="triton (without a GPU: interpreted) or cpu. Default: by the machine."
        ),
    ] = None,
    dtype: DtypeName = None,
    plan: PlanText = None,
    param: Values = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Run the kernel on random input and compare it with the oracle. Exit code 1 when they disagree."""
    from attngen.cli.options import load_spec, parse_plan, parse_values
    from attngen.cli.output import console, print_json
    from attngen.sample import Sizes

    for value, known, place in ((backend, ("triton", "cpu"), "--backend"), (dtype, tuple(EPSILON), "--dtype")):
        if value is not None and value not in known:  # said before torch is imported
            raise SpecError(f"`{value}` is not known", place=place, remedy=did_you_mean(value, known))
    loaded = load_spec(spec)
    if heads is not None:
        loaded = with_heads(loaded, heads)
    sizes = Sizes(batch, queries or seqlen, seqlen)
    pairs = sizes.batch * loaded.heads.q * sizes.queries * sizes.keys
    if pairs > MOST_PAIRS:
        raise SpecError(
            f"{pairs:,} pairs of a query and a key", place="run", remedy=f"the oracle is dense: at most {MOST_PAIRS:,}"
        )
    out = console(stderr=True)
    with out.status(f"{loaded.name}: {sizes.queries} queries by {sizes.keys} keys"):
        verdict = judge(
            loaded,
            sizes,
            backend=backend,
            dtype=dtype,
            plan=parse_plan(plan),
            values=parse_values(param),
            seed=seed,
        )
    if as_json:
        print_json({**asdict(verdict), "agrees": verdict.agrees})
    else:
        _print(verdict)
    if not verdict.agrees:
        raise typer.Exit(1)


def with_heads(spec: AttentionSpec, text: str) -> AttentionSpec:
    """The same spec with other head counts, ``"4,1"`` or ``"4"``."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise SpecError(f"`{text}` is not Q,KV", place="--heads", remedy="write --heads 4,1") from error
    return spec.replace(heads=counts[0] if len(counts) == 1 else tuple(counts))


def prepare_torch(backend: str | None = None) -> Any:
    """torch; for "triton" without a GPU its interpreter is switched on before triton is imported."""
    try:
        import torch
    except ImportError as error:
        raise RuntimeMissingError("torch is not installed", remedy="pip install 'attngen[torch]'") from error
    if backend == "triton" and not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")
    return torch


def judge(
    spec: AttentionSpec,
    sizes: Sizes,
    *,
    backend: str | None = None,
    dtype: str | None = None,
    plan: dict[str, int] | None = None,
    values: dict[str, int | float] | None = None,
    seed: int = 0,
) -> Verdict:
    """Run the kernel and the oracle on one random input."""
    from attngen.language.definition import Sigmoid
    from attngen.sample import sample

    definition = spec.definition
    drawn = sample(definition, sizes, values or {}, seed)  # what is wrong with the values is said before torch comes
    torch = prepare_torch(backend)
    import numpy as np

    from attngen import pipeline

    name = definition.dtype or dtype or "bf16"
    from attngen.runtime.tensors import torch_tensors, way_to_run

    device = "cuda" if torch.cuda.is_available() and backend != "cpu" else "cpu"
    torch_dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[name]
    q, k, v = (torch.from_numpy(x).to(device, torch_dtype) for x in (drawn.q, drawn.k, drawn.v))
    tensors = torch_tensors(definition.tensors, drawn.tensors)
    has_lse = not isinstance(definition.normalizer, Sigmoid)

    attend = pipeline.compile(spec, backend=backend, plan=plan)
    on_device = {key: x.to(device) for key, x in tensors.items()}
    start = perf_counter()
    result = attend(q, k, v, return_lse=has_lse, **on_device, **drawn.params)
    out, lse = result if has_lse else (result, None)
    out = out.double().cpu().numpy()  # waits for the device
    seconds = perf_counter() - start

    exact = [x.double().cpu().numpy() for x in (q, k, v)]
    exactly = {key: (x.double() if x.is_floating_point() else x).numpy() for key, x in tensors.items()} | drawn.params
    error, allowed, lse_error = _compare(spec, exact, exactly, name, out, lse)
    with np.errstate(all="ignore"):
        worst = np.unravel_index(int(np.argmax(np.where(error == 0, 0, error / allowed))), error.shape)
    return Verdict(
        spec=spec.name,
        dtype=name,
        shape=f"{sizes.batch} x {definition.heads.q}/{definition.heads.kv} x {sizes.queries} x {sizes.keys}",
        backend=_WAYS[way_to_run(q, backend)],
        error=float(error[worst]),
        allowed=float(allowed[worst]),
        where=tuple(int(i) for i in worst),
        lse_error=lse_error,
        seconds=seconds,
    )


def _compare(
    spec: AttentionSpec,
    qkv: list[NDArray[np.float64]],
    arguments: dict[str, Any],
    dtype: str,
    out: NDArray[np.float64],
    lse: Any,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float | None]:
    """Error and allowed error of every element of the output, and the largest error of the lse.

    What rounding may cost is known: weights and output are rounded once each, so the sum of
    |weight * v| times one unit in the last place bounds it, and the oracle computes that sum.
    """
    import numpy as np

    from attngen import oracle

    q, k, v = qkv
    want, want_lse = oracle.reference(spec, q, k, v, **arguments)
    magnitude, _ = oracle.reference(spec, q, k, np.abs(v), **arguments)
    noise = TF32_NOISE if spec.definition.tf32 else SCORE_NOISE
    allowed = (EPSILON[dtype] + noise) * magnitude + FLUSHED[dtype] * k.shape[2] * np.abs(v).max()
    error = np.where(np.isnan(out), np.inf, np.abs(out - want))
    if lse is None or want_lse is None:
        return error, allowed, None
    got = lse.double().cpu().numpy()
    same = got == want_lse  # minus infinity equals itself
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(got - want_lse))
    lse_error = float(np.nan_to_num(difference, nan=np.inf).max())
    return error, allowed, lse_error


def _print(verdict: Verdict) -> None:
    from attngen.cli.output import console

    b, h, q, d = verdict.where
    out = console()
    mark = "[green]agrees[/]" if verdict.agrees else "[bold red]DISAGREES[/]"
    out.print(f"{verdict.spec} {verdict.dtype} {verdict.shape} ({verdict.backend}): {mark} with the oracle")
    out.print(f"  worst error {verdict.error:.2e}, allowed {verdict.allowed:.2e}, at b={b} h={h} q={q} d={d}")
    if verdict.lse_error is not None:
        out.print(f"  lse error {verdict.lse_error:.2e}, allowed {LSE_NOISE:.2e}")
    out.print(f"  {verdict.seconds:.2f} s, compilation included")
