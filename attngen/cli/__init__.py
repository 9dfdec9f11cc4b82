"""The command line. One file a command; each imports what it needs when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from attngen.errors import AttngenError


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command. What the user can cause is one screen on stderr and exit code 2, never a traceback."""
    from attngen.cli.app import app

    try:
        try:
            app(args=argv, prog_name="attngen")
        finally:
            sys.stdout.flush()
    except AttngenError as error:
        _refuse(error)
    except OSError as error:  # a full disk behind stdout, a name too long for the file system
        from attngen.cli.output import OutputError

        with contextlib.suppress(OSError, ValueError):  # what is still in the buffer would fail again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        remedy = "check the path, who may write there, and the space on the disk"
        _refuse(OutputError(error.strerror or str(error), place=str(error.filename or "stdout"), remedy=remedy))
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(error: AttngenError) -> NoReturn:
    from attngen.cli.output import show_error

    show_error(error)
    sys.exit(2)
