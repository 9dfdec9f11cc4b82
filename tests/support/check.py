"""`attngen.checking.check`, under the name that the tests use."""

from attngen.checking.check import *  # noqa: F403
