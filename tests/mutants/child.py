"""pytest in a process that was forked with the large libraries already imported: seconds less a mutant."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

PRELOADED = ["torch", "numpy", "islpy", "hypothesis", "networkx", "jinja2", "rich", "pytest", "tests.mutants.child"]


def run_pytest(folder: str, arguments: Sequence[str], output: str) -> None:
    """Exits with the code of pytest in ``folder``, where attngen and its tests are imported from."""
    root = os.getcwd()
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "attngen")]:
        del sys.modules[name]
    sys.path[:] = [folder, *(path for path in sys.path if path not in ("", root, folder))]
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "ATTNGEN_"))]:
        del os.environ[name]
    os.environ["PYTHONPATH"] = folder
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.chdir(folder)
    os.setsid()  # what the tests start ends with them
    import pytest
    from hypothesis import Phase, settings

    # the first failing example is enough: to make it small takes minutes
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None)
    settings.load_profile("mutants")
    with (
        open(output, "w", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        code = pytest.main(list(arguments))
        file.flush()
    os._exit(int(code))
