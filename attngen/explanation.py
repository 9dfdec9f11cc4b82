"""What a variant costs at a length, beside full attention, and why its kernel is cut as it is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from attngen import pipeline
from attngen.errors import SpecError, did_you_mean
from attngen.expr.build import TRUE
from attngen.language.spec import AttentionSpec, as_spec
from attngen.planner.choose import WorkOf, choose_plan, rank_plans
from attngen.planner.cost import every_tile
from attngen.planner.counted import counted
from attngen.planner.plan import Plan
from attngen.planner.problem import Problem
from attngen.sample import Sizes, sample
from attngen.targets.load import find_target
from attngen.targets.target import Target
from attngen.tiling.view import TileSchedule
from attngen.tiling.view import schedule as tile_schedule

_Drawn = tuple[dict[str, int | float], dict[str, Any]]
"""Values of parameters and tensors at one length."""
STAGES = ("graph", "schedule", "plan", "source")
LENGTHS = 4
RIVALS = 5
_COUNTED_TILES = 5
"""Tile sizes whose real tiles are counted for the rivals: those that look best at a guess."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One call of batch 1 with ``seqlen`` queries and keys. Times are predictions, in microseconds."""

    seqlen: int
    tiles: int
    tiles_masked: int
    tiles_of_full_attention: int
    flops: int
    flops_of_full_attention: int
    bytes: int
    us: float
    us_of_full_attention: float
    limit: str

    @property
    def share(self) -> float:
        """Visited tiles of all tiles."""
        return self.tiles / max(1, self.tiles_of_full_attention)


@dataclass(frozen=True, slots=True)
class Explanation:
    """``text`` is for people; ``costs``, ``plan`` and ``rivals`` are what it says."""

    text: str
    spec: str
    target: str
    dtype: str
    seqlen: int
    stage: str | None = None
    costs: tuple[Cost, ...] = ()
    plan: Plan | None = None
    rivals: tuple[Plan, ...] = ()
    sampled: tuple[str, ...] = ()
    """Declared tensors and parameters whose values were made up, because the costs depend on them."""

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, Any]:
        """Plain values; the text only where it is a stage."""
        out = asdict(self)
        if self.stage is None:
            del out["text"]
        else:
            for name in ("costs", "plan", "rivals", "sampled"):
                del out[name]
        return out


def explain(
    spec: AttentionSpec,
    target: str = "h100",
    seqlen: int = 8192,
    stage: str | None = None,
    *,
    dtype: str | None = None,
    plan: Mapping[str, int] | None = None,
    params: Mapping[str, int | float] | None = None,
) -> Explanation:
    """The cost of ``spec`` up to ``seqlen``, its plan and the plan's rivals; or one ``stage`` as it prints itself.

    ``plan`` fixes fields of the plan. Parameters and tensors that the mask reads take the values of
    ``params``, else made-up ones that make sense (`attngen.sample`).
    """
    if stage is not None and stage not in STAGES:
        raise SpecError(f"`{stage}` is no stage", place="stage", remedy=did_you_mean(stage, STAGES))
    as_spec(spec)
    device = find_target(target)
    made = pipeline.generate(spec, target, dtype=dtype, plan=plan, seqlen=seqlen)
    known = Explanation("", spec.name, device.name, made.plan.dtype, seqlen, stage)
    if stage is not None:
        text = {
            "graph": lambda: str(made.graph),
            "schedule": lambda: str(_view(spec, made.plan)),
            "plan": lambda: "\n".join(_plan_lines(made.plan)),
            "source": lambda: made.text.rstrip("\n"),
        }[stage]()
        return replace(known, text=text)

    given = dict(params or {})
    problem = pipeline.problem_of(spec, dtype, seqlen, seqlen)
    drawn = {length: _drawn(spec, length, given) for length in _lengths(seqlen)}
    costs = tuple(_cost(spec, problem, device, made.plan, *of_length) for of_length in drawn.items())
    ranked = _ranked(problem, device, counted(spec, seqlen, *drawn[seqlen]))
    rivals = [rival for rival in ranked if _fields(rival) != _fields(made.plan)]
    values, tensors = drawn[seqlen]
    sampled = (*(name for name in values if name not in given), *tensors)
    known = replace(known, costs=costs, plan=made.plan, rivals=tuple(rivals[:RIVALS]), sampled=sampled)
    return replace(known, text="\n".join(_lines(spec, device, known)))


def _lengths(seqlen: int) -> list[int]:
    """``seqlen`` and its halves, ascending."""
    return sorted({max(1, seqlen >> step) for step in range(LENGTHS)})


def _drawn(spec: AttentionSpec, length: int, given: Mapping[str, int | float]) -> _Drawn:
    made = sample(spec.definition, Sizes(1, length, length), dict(given))
    return made.params, made.tensors


def _view(spec: AttentionSpec, plan: Plan) -> TileSchedule:
    return tile_schedule(spec, q_tile=plan.block_q, kv_tile=plan.block_n)


def _fields(plan: Plan) -> dict[str, int]:
    """What a person could fix of a plan."""
    names = ("block_m", "block_n", "num_warps", "num_stages", "pack", "descriptors")
    return {name: int(getattr(plan, name)) for name in names}


def _cost(
    spec: AttentionSpec,
    problem: Problem,
    target: Target,
    plan: Plan,
    length: int,
    drawn: _Drawn,
) -> Cost:
    params, tensors = drawn
    count = _view(spec, plan).counts(length, params=params, tensors=tensors, itemsize=problem.element_bytes)
    visited = count.tiles_full + count.tiles_partial
    flops_of_full = 0 if visited == 0 else count.flops // visited * count.tiles_total
    cost = Cost(
        seqlen=length,
        tiles=visited,
        tiles_masked=count.tiles_partial,
        tiles_of_full_attention=count.tiles_total,
        flops=count.flops,
        flops_of_full_attention=flops_of_full,
        bytes=count.bytes,
        us=0.0,
        us_of_full_attention=0.0,
        limit="",
    )
    fixed, sized = _fields(plan), replace(problem, seqlen_q=length, seqlen_kv=length)
    here = choose_plan(sized, target, fixed, counted(spec, length, params, tensors))
    full = choose_plan(sized, target, fixed, lambda candidate: every_tile(candidate, sized))
    return replace(cost, us=here.predicted_us, limit=here.limit, us_of_full_attention=full.predicted_us)


def _ranked(problem: Problem, target: Target, count: WorkOf) -> tuple[Plan, ...]:
    """The plans that look best, at the price of the tiles that they really visit."""
    guessed = rank_plans(problem, target)
    near = list(dict.fromkeys((plan.block_m, plan.block_n) for plan in guessed))[:_COUNTED_TILES]
    plans = rank_plans(problem, target, None, lambda c: count(c) if (c.block_m, c.block_n) in near else None)
    return tuple(plan for plan in plans if (plan.block_m, plan.block_n) in near)


# texts


def _lines(spec: AttentionSpec, target: Target, known: Explanation) -> Iterator[str]:
    definition = spec.definition
    heads, dim = definition.heads, definition.head_dim
    width = f"{dim.qk}" if dim.qk == dim.v else f"{dim.qk} (values {dim.v})"
    yield f"{spec.name} in {known.dtype} on {target.name} ({target.arch})"
    if spec.doc:
        yield f"  {spec.doc}"
    yield f"  heads  {heads.q} query, {heads.kv} key/value; head dimension {width}"
    if definition.mask is not TRUE:
        yield f"  mask   {_mask_text(spec)}"
    yield ""
    yield "Cost by length (batch 1, predicted; in brackets what full attention would take)"
    yield from _table(
        ("length", "tiles visited", "of all", "masked", "TFLOP", "MB", "time", "limit"),
        [
            (
                f"{cost.seqlen:,}",
                f"{cost.tiles:,} ({cost.tiles_of_full_attention:,})",
                f"{100 * cost.share:.1f} %",
                f"{100 * cost.tiles_masked / max(1, cost.tiles):.1f} %",
                f"{cost.flops / 1e12:.3g} ({cost.flops_of_full_attention / 1e12:.3g})",
                f"{cost.bytes / 1e6:.1f}",
                f"{_time(cost.us)} ({_time(cost.us_of_full_attention)})",
                cost.limit,
            )
            for cost in known.costs
        ],
    )
    if known.sampled:
        yield f"  made-up values: {', '.join(known.sampled)}"
    yield ""
    assert known.plan is not None
    yield from _plan_lines(known.plan)
    if known.rivals:
        yield ""
        yield "Rivals"
        yield from _table(
            ("tile", "warps", "stages", "loads", "registers", "shared KiB", "time", "limit"),
            [_rival(rival) for rival in known.rivals],
        )


def _mask_text(spec: AttentionSpec) -> str:
    """As the user wrote it, where there is a text; at most a line."""
    text = spec.mask if isinstance(spec.mask, str) else getattr(spec.mask, "text", None)
    return textwrap.shorten(text or str(spec.definition.mask), 110, placeholder=" ...")


def _time(us: float) -> str:
    return f"{us:.1f} us" if us < 1e3 else f"{us / 1e3:.2f} ms"


def _rival(plan: Plan) -> tuple[str, ...]:
    return (
        f"{plan.block_m} x {plan.block_n}",
        str(plan.num_warps),
        str(plan.num_stages),
        "descriptors" if plan.descriptors else "pointers",
        str(plan.registers),
        f"{plan.shared_bytes / 1024:.0f}",
        _time(plan.predicted_us),
        plan.limit,
    )


def _plan_lines(plan: Plan) -> Iterator[str]:
    yield f"Plan for {plan.target} in {plan.dtype}"
    yield from (f"  {reason}" for reason in plan.reasons)


def _table(heading: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns aligned to the right."""
    widths = [max(len(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    for row in [heading, *rows]:
        yield "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
