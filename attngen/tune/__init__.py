"""Tuning: measured plans. The package is the verb as well: ``attngen.tune(spec, ...)``, and ``attngen.tune.replay``.

Whoever imports a module of this package binds the name ``attngen.tune`` to the package, and the verb has that name.
So the package can be called; it is what `attngen.tune.session.tune` does.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attngen.tune.session import tune as tune
else:
    tune = sys.modules[__name__]


class _Verb(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from attngen.tune.session import tune

        return tune(*args, **options)


sys.modules[__name__].__class__ = _Verb
