"""`attngen.checking.policy`, under the name that the tests use."""

from attngen.checking.policy import *  # noqa: F403
