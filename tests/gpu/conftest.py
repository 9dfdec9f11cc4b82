"""The device of the folder's tests: the GPU, its stand-in with --dry-run, or a skip that says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gpu.device import Gpu, dry_device, missing


def pytest_addoption(parser: pytest.Parser) -> None:
    # only there when this folder is named on the command line, as `make test-gpu` does
    parser.addoption("--dry-run", action="store_true", help="everything but the launches; needs no GPU")
    parser.addoption("--target", default="h100", help="the GPU of a dry run (h100)")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> Iterator[Gpu]:
    if request.config.getoption("--dry-run", default=False):
        with dry_device(request.config.getoption("--target")) as dry:
            yield dry
        return
    reason = missing()
    if reason:
        pytest.skip(reason)
    yield Gpu()
