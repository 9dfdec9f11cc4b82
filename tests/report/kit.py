"""A store with something for every part of the report, and a reader of HTML."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

from attngen.records.row import Configuration, Decision, Measurement, Subject
from attngen.records.store import Store
from tests.records.kit import AT, SUBJECT

HOSTILE = "</style></title><script>alert('x')</script><img src=https://example.org/x onerror=alert(1)>\"'&{{ 7*7 }}"
UNTUNED = {"block_m": 64, "block_n": 64, "micro_m": 2}
WINNER = {"block_m": 64, "block_n": 128, "micro_m": 4}
NEVER = {"block_m": 256, "block_n": 128, "micro_m": 4}


def made(plan: dict[str, int], predicted_us: float = 0.0) -> Configuration:
    return Configuration(plan, f"source of {plan}", "g++ 12.2.0", "attngen 0.1.0", predicted_us)


def sweep(subject: Subject = SUBJECT, scale: float = 1.0) -> list[Measurement]:
    """12 plans screened twice, the best three again in 5 rounds, one that crashes. WINNER is 1.25 times as fast."""
    rows = []
    seconds = {}
    for block_m in (32, 64):
        for block_n in (32, 64, 128):
            for micro_m in (2, 4):
                plan = {"block_m": block_m, "block_n": block_n, "micro_m": micro_m}
                seconds[tuple(plan.items())] = 1e-3 * scale * (2.0 - block_n / 256 - block_m / 128 - micro_m / 32)
    seconds[tuple(WINNER.items())] = seconds[tuple(UNTUNED.items())] / 1.25
    ranked = sorted(seconds, key=lambda plan: seconds[plan])
    for plan in ranked:
        stages = [("screen", n) for n in range(2)]
        stages += [("final", n) for n in range(5)] if plan in ranked[:3] or dict(plan) == UNTUNED else []
        for stage, number in stages:
            drift = {"screen": 0.95, "final": 0.8}[stage] + 0.1 * number  # in the middle nothing has changed
            configuration = made(dict(plan), 1e6 * seconds[plan] * 0.8)
            rows.append(
                Measurement(
                    subject, configuration, stage, number, "measured", seconds[plan] * drift, seconds[plan] * drift,
                    error=0.5, load=0.25 * number, sweep="s", at=AT,
                    facts={"registers": 32 - plan[2][1], "cache": "warm"},
                )
            )  # fmt: skip
    failed = Measurement(subject, made(NEVER), "screen", 0, "failed", 0.0, 0.0, reason="crashed: signal 11", at=AT)
    return [*rows, failed]


def decision(subject: Subject = SUBJECT) -> Decision:
    return Decision(subject, made(WINNER), UNTUNED, 1.25, 0.01, 13, 1, "s", AT)


def filled(path: Path) -> Path:
    """A subject with everything, one with hostile texts, one that failed throughout, one static, one for decoding."""
    hostile = replace(SUBJECT, spec="cd" * 32, name=HOSTILE, device=HOSTILE)
    lost = replace(SUBJECT, spec="ef" * 32, name="lost")
    static = replace(SUBJECT, target="sm_90", device="", kind="static")
    decode = replace(SUBJECT, seqlen_q=1, name="decode")
    with Store.open(path) as store:
        store.extend(sweep())
        store.decide(decision())
        for row in sweep(hostile)[-3:]:
            store.add(replace(row, status="failed", reason=HOSTILE, facts={"cache": HOSTILE}, sweep=HOSTILE))
        store.add(replace(sweep(lost)[-1], reason="does not compile: x"))
        store.extend([replace(row, stage="static", round=0) for row in sweep(static) if row.round == 0][:5])
        for n in (16, 32):
            store.add(replace(sweep(decode)[0], configuration=made({"block_n": n, "split_keys": 64 * n})))
    return path


class Reader(HTMLParser):
    """Tags with their attributes, and the text under each heading of the third level in each section."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.sections: dict[str, dict[str, str]] = {}
        self._open: list[str] = []
        self._section = self._heading = ""
        self.feed(text)
        self.close()
        assert self._open == [], f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag not in ("meta", "br"):
            self._open.append(tag)
        if tag == "section":
            self._section, self._heading = found["id"], "head"
            self.sections[self._section] = {"head": ""}
        if tag == "h3":
            self._heading = "?"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> closes {self._open[-1:]}"
        self._open.pop()
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if not self._section or not data.strip():
            return
        if self._heading == "?":
            self._heading = data.strip()
            self.sections[self._section][self._heading] = ""
        else:
            self.sections[self._section][self._heading] += f" {data.strip()}"
