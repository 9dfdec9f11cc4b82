"""What to measure next, from what is known: values in, values out, so that a sweep can be repeated and resumed."""

from __future__ import annotations

import importlib.util
import math
import random
from collections.abc import Mapping, Sequence

from attngen.tune.effort import Effort
from attngen.tune.space import Choice, Space

History = Mapping[Choice, float | None]
"""What was tried, in order: the median of a configuration's ratios (see `race`), None where it failed."""

_FROM_BEST = 3
"""Configurations whose neighbours are looked at."""
_TREES = 60
_LEAST_KNOWN = 12
"""Below so many results a surrogate only repeats its noise."""
_POOL = 400
FAILED = 4.0
"""A failure counts as so many times slower than the untuned plan: its neighbours are not worth much either."""


def propose(space: Space, history: History, effort: Effort) -> list[Choice]:
    """The next batch, best hope first; nothing when the search is over.

    All of a small space in the model's order. Else the model's best, then the neighbours of what was best so far
    (pattern search); with scikit-learn and enough results, a forest that has learnt from times and failures alike
    chooses among these and the model's next.
    """
    left = effort.most - len(history)
    untried = [choice for choice in space.ordered if choice not in history and choice != space.untuned]
    count = min(effort.batch, left, len(untried))
    if count <= 0:
        return []
    if not history or len(space) <= effort.most:
        return _spread(untried, count) if not history and len(space) > effort.most else untried[:count]
    if _stale(history, effort):
        return []
    near = _near(space, history)
    if effort.learn and len(history) >= _LEAST_KNOWN and has_surrogate():
        pool = list(dict.fromkeys([*near, *untried[:_POOL]]))
        return _by_forest(space, history, pool)[:count]
    return [*near, *(choice for choice in untried if choice not in set(near))][:count]


def has_surrogate() -> bool:
    """Whether scikit-learn is there: pip install 'attngen[tune]'."""
    return importlib.util.find_spec("sklearn") is not None


def _spread(untried: Sequence[Choice], count: int) -> list[Choice]:
    """The model's best, and one in three from further down: a model may be wrong in the same way throughout."""
    far = max(1, count // 3)
    step = max(1, min(len(untried), 40) // (far + 1))
    picked = [*untried[: count - far], *(untried[min(len(untried) - 1, step * (i + 1))] for i in range(far))]
    return list(dict.fromkeys([*picked, *untried]))[:count]


def _stale(history: History, effort: Effort) -> bool:
    """Whether the last batches have improved nothing."""
    scores = [FAILED if score is None else score for score in history.values()]
    recent = effort.batch * effort.tries
    if len(scores) <= recent:
        return False
    return min(scores[-recent:]) >= min(1.0, *scores[:-recent]) * 0.995


def _near(space: Space, history: History) -> list[Choice]:
    """Untried neighbours of the best, those of the very best first. The untuned plan is one of them."""
    scores = {space.untuned: 1.0, **{one: score for one, score in history.items() if score is not None}}
    best = sorted(scores, key=lambda one: (scores[one], one))[:_FROM_BEST]
    tried = {*history, space.untuned}
    return list(dict.fromkeys(near for one in best for near in space.neighbours(one) if near not in tried))


def _by_forest(space: Space, history: History, pool: Sequence[Choice]) -> list[Choice]:
    """The pool by what a random forest expects, less its doubt: what may be best comes first."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor

    known = {space.untuned: 1.0, **{one: FAILED if score is None else score for one, score in history.items()}}
    forest = RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=0, n_jobs=1)
    forest.fit([_features(one) for one in known], [math.log(score) for score in known.values()])
    rows = np.array([_features(one) for one in pool])
    trees = np.stack([tree.predict(rows) for tree in forest.estimators_])
    hope = trees.mean(axis=0) - trees.std(axis=0)
    return [pool[i] for i in sorted(range(len(pool)), key=lambda i: (float(hope[i]), i))]


def _features(choice: Choice) -> list[float]:
    """Sizes count by their logarithm; so do the products that decide registers and caches."""
    values = dict(choice)
    logs = [math.log2(1 + value) for _, value in choice]
    return [*logs, sum(math.log2(1 + values.get(n, 0)) for n in ("micro_m", "micro_n")),
            sum(math.log2(1 + values.get(n, 0)) for n in ("block_m", "block_n"))]  # fmt: skip


def fresh_order(choices: Sequence[Choice], key: str) -> list[Choice]:
    """Another order than that of the search, the same one each time: what came first had the cooler machine."""
    order = sorted(choices)
    random.Random(key).shuffle(order)
    return order
