"""One compiling process and one store for all tests of the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attngen.building.store import BuildStore
from attngen.building.workers import Workers

pytest.importorskip("triton")


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    with Workers(1) as started:
        yield started


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> BuildStore:
    return BuildStore(tmp_path_factory.mktemp("cache"))
