"""One small class a remedy: every error says what the value was, where it stood, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LINES, _WIDEST = 40, 1_000


class AttngenError(Exception):
    """Base of all errors that a user can cause.

    ``place`` says where the value stood (a TOML key, an argument, a column of an expression) and
    ``remedy`` what to do about it. ``str(error)`` is at most one screen.
    """

    def __init__(self, what: str, *, place: str = "", remedy: str = "") -> None:
        self.what, self.place, self.remedy = what, place, remedy
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.place}: {self.what}" if self.place else self.what
        if self.remedy:
            text += f"\n  way out: {self.remedy}"
        return _one_screen(text)


def _one_screen(text: str) -> str:
    """A text of the user's may be anything: long lines are cut, and nothing reaches the terminal that it would obey."""
    lines = text.split("\n")
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES // 2 : 1 - _MOST_LINES // 2] = [f"  ... {len(lines) - _MOST_LINES + 1} more lines"]
    cut = (line if len(line) <= _WIDEST else f"{line[: _WIDEST - 200]} ... {line[-150:]}" for line in lines)
    return "\n".join("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line) for line in cut)


class SpecError(AttngenError):
    """A spec that cannot be meant: an impossible size, an unknown key, a wrong type. Change the spec."""


class ExpressionError(SpecError):
    """A mask or score text that does not parse or type-check. The place is a column of the text."""


class TraceError(SpecError):
    """A mask_mod or score_mod callable that does something which has no kernel form. Rewrite that line."""


class UnsupportedError(AttngenError):
    """A legal request that attngen cannot serve yet. The remedy names the nearest thing that works."""


class PlanError(AttngenError):
    """No plan fits the target, or a pinned one does not. The text carries the arithmetic."""


class TargetError(AttngenError):
    """An unknown target. The remedy lists the known ones."""


class CallError(AttngenError):
    """Tensors at a call that do not fit the spec: shape, dtype, device or a missing argument."""


class RuntimeMissingError(AttngenError):
    """Something to run with is missing (torch, triton, a GPU, the interpreter). The remedy says how to get it."""


class CompilerError(AttngenError):
    """A C++ compiler that failed or did not end. The text has its first error line and the command."""


class StoreError(AttngenError):
    """A store of measurements that cannot be used (damaged, newer, another user's, no space), or a bad line of one."""


class GraphError(AssertionError):
    """A pass broke a legality rule: a bug in attngen, never the user's fault."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``(did you mean `x`?)`` when a known word is near, else a list of the known words."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(words)}"
