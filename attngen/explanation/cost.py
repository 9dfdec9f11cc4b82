"""What a call of batch 1 costs, counted; and the value that `explain` answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from attngen.explanation.lengths import lengths_up_to as lengths_up_to
from attngen.planner.cpu import CpuPlan
from attngen.planner.plan import Plan
from attngen.sample import Arguments, Sizes, mask_arguments
from attngen.tiling.view import TileSchedule
from attngen.tiling.view import schedule as tile_schedule

if TYPE_CHECKING:
    from attngen.explanation.against import Side
    from attngen.explanation.price import Price
    from attngen.explanation.why import Why
    from attngen.language.spec import AttentionSpec


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
    plan: Plan | CpuPlan | None = None
    rivals: tuple[Plan | CpuPlan, ...] = ()
    sampled: tuple[str, ...] = ()
    """Declared tensors and parameters whose values were made up, because the costs depend on them."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """What was timed on this machine, where that was asked for."""
    ranked: tuple[Price, ...] = ()
    """The chosen plan and its rivals at ``seqlen``, best first."""
    why: Why | None = None
    against: tuple[Side, ...] = ()
    """This device and those that it was to be compared with."""

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, Any]:
        """Plain values; the text only where it is a stage."""
        out = asdict(self)
        if self.stage is None:
            del out["text"]
        else:
            for name in ("costs", "plan", "rivals", "sampled", "measured", "ranked", "why", "against"):
                del out[name]
        return out


def tiles_of(spec: AttentionSpec, plan: Plan | CpuPlan) -> TileSchedule:
    return tile_schedule(spec, q_tile=plan.block_q, kv_tile=plan.grain)


def drawn_at(spec: AttentionSpec, length: int, params: Mapping[str, int | float]) -> Arguments:
    """``params``, and made-up values for every other parameter and tensor that the costs may depend on."""
    return mask_arguments(spec.definition, Sizes(1, length, length), dict(params))


def counted(spec: AttentionSpec, plan: Plan | CpuPlan, length: int, drawn: Arguments, element_bytes: int) -> Cost:
    """Everything but the times."""
    count = tiles_of(spec, plan).counts(length, params=drawn.params, tensors=drawn.tensors, itemsize=element_bytes)
    visited = count.tiles_full + count.tiles_partial
    return Cost(
        seqlen=length,
        tiles=visited,
        tiles_masked=count.tiles_partial,
        tiles_of_full_attention=count.tiles_total,
        flops=count.flops,
        flops_of_full_attention=0 if visited == 0 else count.flops // visited * count.tiles_total,
        bytes=count.bytes,
        us=0.0,
        us_of_full_attention=0.0,
        limit="",
    )


def made_up(spec: AttentionSpec, params: Mapping[str, int | float]) -> tuple[str, ...]:
    """Names of parameters and tensors whose values `drawn_at` makes up."""
    drawn = drawn_at(spec, 1, params)
    return (*(name for name in drawn.params if name not in params), *drawn.tensors)
