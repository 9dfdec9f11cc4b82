"""A plan of a person's beside the chosen one, line by line; or why no kernel is cut so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from attngen.errors import PlanError
from attngen.explanation.price import Price, price_of
from attngen.explanation.text import cell_text, sides
from attngen.planner.choose import WorkOf
from attngen.planner.cpu import CpuPlan, choose_cpu_plan
from attngen.planner.problem import Problem
from attngen.planner.ranked import rank_counted
from attngen.targets.cpu import CpuTarget
from attngen.targets.target import Target

EQUAL = 0.03
"""Plans so near each other are equal to the cost model (docs/cost-model.md)."""
Value = int | float | str
_NAMES = ("target", "arch", "dtype", "reasons")


@dataclass(frozen=True, slots=True)
class Line:
    """One property of two plans. A unit stands in its name."""

    name: str
    chosen: Value
    asked: Value


@dataclass(frozen=True, slots=True)
class Why:
    """``asked``: the fields that a person fixed; the rest of that plan is the best there is.

    ``reasons``: the arithmetic of the planner, why it cannot be (``fits`` is False, and there are no ``lines``)
    or why it would not be chosen unasked.
    """

    asked: Mapping[str, int]
    fits: bool
    verdict: str
    reasons: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()


def why_gpu(
    asked: Mapping[str, int], chosen: Price, problem: Problem, target: Target, count: WorkOf, *, guessed: bool
) -> Why:
    """``guessed``: the chosen plan was ranked without ``count``, which is what the mask needs values for."""
    try:
        plan = rank_counted(problem, target, count, asked)[0]
    except PlanError as error:
        return _refused(asked, target, error)
    price = price_of(plan, problem, target, count)
    lines = tuple(Line(name, *pair) for name, pair in _pairs(chosen, price))
    verdict = _verdict(chosen.us, price.us, same=chosen.choices == price.choices)
    if price.us < (1 - EQUAL) * chosen.us and not price.reasons and guessed:
        verdict += "; when a plan is chosen, a mask of parameters or tensors is guessed to leave half of the tiles"
    return Why(asked, True, verdict, price.reasons, lines)


def why_cpu(asked: Mapping[str, int], chosen: CpuPlan, problem: Problem, cpu: CpuTarget) -> Why:
    """The fields of both plans side by side."""
    try:
        plan = choose_cpu_plan(problem, cpu, asked)
    except PlanError as error:
        return _refused(asked, cpu, error)
    left, right = ({k: v for k, v in asdict(one).items() if k not in _NAMES} for one in (chosen, plan))
    lines = tuple(Line(name, left[name], right[name]) for name in left)
    before, after = (one.get("predicted_us", 0.0) for one in (left, right))  # 0.0: a plan without a price
    return Why(asked, True, _verdict(before, after, same=left == right), (), lines)


def _refused(asked: Mapping[str, int], target: Target | CpuTarget, error: PlanError) -> Why:
    first, *nearest = error.what.splitlines()
    reasons = tuple(line.strip() for line in nearest or [first])
    return Why(asked, False, f"it does not fit {target.name} ({target.arch})", reasons)


def _verdict(chosen_us: float, us: float, same: bool) -> str:
    if same:
        return "this is the chosen plan"
    if not chosen_us or not us:
        return "it fits; there is no prediction of its time"
    change = us / chosen_us - 1
    if abs(change) < EQUAL:
        return f"predicted to take {change:+.1%}: within {EQUAL:.0%} plans are equal to this model"
    return f"predicted to be {change:.0%} slower" if change > 0 else f"predicted to be {-change:.0%} faster"


def _pairs(chosen: Price, asked: Price) -> Iterator[tuple[str, tuple[Value, Value]]]:
    """(name, values) of everything in which two plans for a GPU can differ, as a person would read it."""
    sides_ = (chosen, asked)
    for name in chosen.choices:
        pair = (chosen.choices[name], asked.choices[name])
        if name != "descriptors" and (name != "pack" or max(pair) > 1):
            yield name, pair
    loads = [("pointers", "descriptors")[one.choices["descriptors"]] for one in sides_]
    yield "loads by", (loads[0], loads[1])
    late = ["a tile late" if one.overlap else "in order" for one in sides_]
    yield "product with V", (late[0], late[1])
    yield "registers a thread", (chosen.registers, asked.registers)
    yield "shared memory, bytes", (chosen.shared_bytes, asked.shared_bytes)
    yield "blocks a multiprocessor", (chosen.occupancy, asked.occupancy)
    yield "blocks launched", (chosen.blocks, asked.blocks)
    yield "tiles visited", (chosen.tiles, asked.tiles)
    yield "of all tiles, %", (round(100 * chosen.share, 1), round(100 * asked.share, 1))
    yield "masked tiles", (chosen.tiles_masked, asked.tiles_masked)
    yield "cycles a key tile", (round(chosen.cycles), round(asked.cycles))
    for pipe, us in chosen.floors_us.items():
        yield f"{pipe} alone, us", (us, asked.floors_us[pipe])
    yield "limit", (chosen.limit, asked.limit)
    yield "predicted time, us", (chosen.us, asked.us)


def why_lines(why: Why) -> Iterator[str]:
    yield f"Why not {', '.join(f'{name}={value}' for name, value in why.asked.items())}? {why.verdict}"
    yield from (f"  {reason}" for reason in why.reasons)
    if why.lines:
        rows = [(line.name, cell_text(line.chosen), cell_text(line.asked), _ratio(line)) for line in why.lines]
        yield from sides(("", "chosen", "asked", "asked / chosen"), rows)


def _ratio(line: Line) -> str:
    if isinstance(line.chosen, str) or isinstance(line.asked, str) or not line.chosen or line.chosen == line.asked:
        return ""
    return f"{line.asked / line.chosen:.2f}"
