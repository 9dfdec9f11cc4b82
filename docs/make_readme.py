"""Puts the loop over full tiles of an emitted kernel into README.md.

With --check it writes nothing, and exits with 1 when the page differs.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
EXCERPT = re.compile(r"(<!-- excerpt: (\S+) -->\n)```python\n.*?```\n(<!-- end of excerpt -->)", re.DOTALL)
LOOP = re.compile(r"^    # full tiles.*?(?=^\n    # edge)", re.DOTALL | re.MULTILINE)


def filled(text: str) -> str:
    def fill(match: re.Match[str]) -> str:
        loop = LOOP.search((ROOT / match[2]).read_text(encoding="utf-8"))
        assert loop is not None, f"{match[2]} has no loop over full tiles"
        return f"{match[1]}```python\n{textwrap.dedent(loop[0]).strip()}\n```\n{match[3]}"

    return EXCERPT.sub(fill, text)


def main() -> None:
    old = README.read_text(encoding="utf-8")
    new = filled(old)
    if "--check" in sys.argv[1:]:
        if old != new:
            sys.exit("README.md differs from generated/; `make docs` writes it anew")
        return
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
