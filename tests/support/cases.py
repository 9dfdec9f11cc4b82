"""`attngen.checking.inputs`, under the name that the tests use."""

from attngen.checking.inputs import *  # noqa: F403
