"""`attngen.checking.poison`, under the name that the tests use."""

from attngen.checking.poison import *  # noqa: F403
