"""The number of hostile cases, so that what the documents say stays true."""

from __future__ import annotations

from tests.refuse.expressions import MASKS, SCORES
from tests.refuse.python_calls import SPECS as PYTHON_SPECS
from tests.refuse.python_calls import VERBS, VOCABULARY
from tests.refuse.specs import FILES, SPECS
from tests.refuse.test_caches import BOMBS
from tests.refuse.test_commands import OPTIONS
from tests.refuse.test_emitted import HOSTILE
from tests.refuse.test_python import CALLS, REFERENCES

TABLES = (MASKS, SCORES, SPECS, FILES, OPTIONS, PYTHON_SPECS, VOCABULARY, VERBS, CALLS, REFERENCES, HOSTILE)


def test_there_are_enough_and_each_is_another_one() -> None:
    cases = [repr(case) for table in TABLES for case in table.values()]
    assert len(cases) == sum(map(len, TABLES))
    assert len(set(cases)) > len(cases) - 5
    assert len(cases) >= 600
    assert len(BOMBS) >= 10
