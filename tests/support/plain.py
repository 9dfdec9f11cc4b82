"""`attngen.checking.plain`, under the name that the tests use."""

from attngen.checking.plain import *  # noqa: F403
