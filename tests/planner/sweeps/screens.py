"""What `attngen explain --why` prints, for docs/cost-model.md."""

from __future__ import annotations

import attngen as ag
from attngen.explanation.why import why_lines
from attngen.language import toml
from tests.project.test_imports import ROOT

SCREENS = {
    "why": ("mistral_7b", "h100", {"block_m": 64, "block_n": 64}),
    "refused": ("mistral_7b", "rtx4090", {"block_m": 128, "block_n": 128, "num_stages": 4}),
}
LENGTH = 8192


def screen(name: str) -> str:
    """A command and the part of its answer that `--why` adds, as Markdown."""
    example, target, fields = SCREENS[name]
    explained = ag.explain(toml.load(ROOT / "examples" / f"{example}.toml"), target, LENGTH, why=fields)
    assert explained.why is not None
    asked = ",".join(f"{field}={value}" for field, value in fields.items())
    command = f"$ attngen explain examples/{example}.toml --target {target} --seqlen {LENGTH} --why {asked}"
    return "\n".join(["```", command, "...", *why_lines(explained.why), "```"])
