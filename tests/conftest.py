"""Before anything imports triton: kernels are interpreted, and caches are thrown away with the session.

With ATTNGEN_TEST_ON=gpu they are launched: `make test-gpu` sets it for the tests of tests/gpu.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile

from hypothesis import HealthCheck, settings

os.environ["TRITON_INTERPRET"] = "0" if os.environ.get("ATTNGEN_TEST_ON") == "gpu" else "1"
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: a team of threads in each would wait for the others
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if "ATTNGEN_CACHE_DIR" not in os.environ or "PYTEST_XDIST_WORKER" not in os.environ:
    folder = tempfile.mkdtemp(prefix="attngen-tests-")
    os.environ["ATTNGEN_CACHE_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
assert "triton" not in sys.modules, "triton was imported before the tests could ask for its interpreter"

# how long an example takes depends on what else the machine does, so no test fails for that
settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
