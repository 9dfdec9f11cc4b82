"""The command line. One file a command; each imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from attngen.errors import AttngenError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command. What the user can cause is one screen on stderr and exit code 2, never a traceback."""
    from attngen.cli.app import app

    try:
        app(args=argv, prog_name="attngen")
    except AttngenError as error:
        from attngen.cli.output import show_error

        show_error(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
