"""`attngen.checking.sanitizer`, under the name that the tests use."""

from attngen.checking.sanitizer import *  # noqa: F403
