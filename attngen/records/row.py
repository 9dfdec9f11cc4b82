"""What a store keeps: which subject was measured, in which configuration, and what a sweep decided.

All are values. Times are seconds, predictions microseconds; both are of one call of the kernel.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from attngen.planner.decode import DECODE_ROWS

STAGES = ("screen", "final", "static")
STATUSES = ("measured", "failed")
KINDS = ("timed", "static")
_LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tuned: decides which results may stand for which call.

    ``spec`` is the fingerprint of the `AttentionSpec`, ``name`` is for people, ``target`` an architecture
    ("sm_90", "avx512_bf16"), ``device`` the processor or GPU by name ("" for static results), ``kind`` "timed" or
    "static": predictions of a compiler's output are never mixed with times.
    """

    spec: str
    name: str
    dtype: str
    target: str
    device: str
    batch: int
    seqlen_q: int
    seqlen_kv: int
    kind: str = "timed"
    threads: int = 1

    @property
    def decode(self) -> bool:
        return self.seqlen_q <= DECODE_ROWS

    @property
    def shape_class(self) -> str:
        """``prefill-4096`` or ``decode-32768``: the power of two at or above the keys' length."""
        return f"{'decode' if self.decode else 'prefill'}-{_power_of_two(self.seqlen_kv)}"

    @property
    def batch_class(self) -> int:
        """The power of two at or above the batch."""
        return _power_of_two(self.batch)

    @property
    def loose(self) -> str:
        """The key of a decision: the same for calls of one class of shapes."""
        named = (self.spec, self.dtype, self.target, self.device, self.batch_class, self.shape_class, self.kind)
        return _digest(named)


@dataclass(frozen=True, slots=True)
class Configuration:
    """How it was cut and by what it was made. ``plan`` holds the chosen fields, ``source`` is a sha256."""

    plan: Mapping[str, int]
    source: str
    compiler: str
    versions: str
    predicted_us: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", dict(sorted(self.plan.items())))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One turn of one configuration.

    ``seconds`` is the CPU or GPU time of one call (the median of the turn's calls; predicted where the stage is
    "static"), ``wall`` what a clock on the wall says, ``error`` the error ratio against the oracle, ``load`` the load
    average of one minute. Of a failed turn, numbers that are not finite are kept as 0; ``reason`` says what happened.
    """

    subject: Subject
    configuration: Configuration
    stage: str
    round: int
    status: str
    seconds: float
    wall: float
    reason: str = ""
    error: float = 0.0
    load: float = 0.0
    facts: Mapping[str, float | int | str] = field(default_factory=dict)
    sweep: str = ""
    at: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", dict(sorted(self.facts.items())))
        object.__setattr__(self, "reason", _printable(self.reason[:_LONGEST_REASON]))
        if self.status == "failed":
            for name in ("seconds", "wall", "error"):
                object.__setattr__(self, name, _finite(getattr(self, name)))

    @property
    def strict(self) -> str:
        """Changes with anything that may change the time: exact lengths, plan, source, compiler, versions."""
        made = self.configuration
        return _digest([asdict(self.subject), dict(made.plan), made.source, made.compiler, made.versions])


@dataclass(frozen=True, slots=True)
class Decision:
    """What a sweep concluded: the winner (which may be the untuned plan).

    ``ratio`` is the untuned plan's time over the winner's, measured anew, and 1.0 when the untuned plan was kept;
    ``noise`` is the half width of the middle half of the rounds' ratios.
    """

    subject: Subject
    configuration: Configuration
    untuned: Mapping[str, int]
    ratio: float
    noise: float
    tried: int
    failed: int
    sweep: str
    at: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "untuned", dict(sorted(self.untuned.items())))


def moment(at: str) -> datetime:
    """A row's time; UTC where it names no zone."""
    time = datetime.fromisoformat(at)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _power_of_two(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _finite(number: float) -> float:
    return number if math.isfinite(number) else 0.0


def _printable(text: str) -> str:
    """What a compiler or a signal said may hold anything; a store holds text."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
