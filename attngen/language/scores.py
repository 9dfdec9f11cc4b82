"""The vocabulary of scores. Each is one step: what becomes of ``score``, which starts as scale * q . k.

``pos`` is the position of a query, q + (N - M), as in `attngen.language.masks`. A list of steps is
applied in its order. Subscripts outside a table are clamped to it.
"""

from __future__ import annotations

import bisect
import math
from typing import Any

from attngen.errors import SpecError
from attngen.expr.build import SCORE, const, make, to_float
from attngen.expr.op import Kind, Op
from attngen.expr.simplify import simplify
from attngen.language.checks import is_float, positive
from attngen.language.functions import apply
from attngen.language.proxy import Proxy
from attngen.language.scope import Number, Scope
from attngen.language.term import Score, call_text, vocabulary_score

_SCORE = Proxy(SCORE)
_MOST_BUCKETS = 256


def alibi(slopes: Any = None) -> Score:
    """score + slope[h] * (kv - pos) (ALiBi, arXiv:2108.12409; BLOOM).

    ``slopes``: float tensor [H]. None gives the paper's: 2^(-8 (h + 1) / H) when H is a power of two,
    else those of the power of two n below H, and then every other one of 2n heads.
    """

    def step(s: Scope) -> Any:
        slope = (
            _press_slope(s) if slopes is None else s.load(s.tensor(slopes, "slopes", "alibi(slopes)", (1,)), (), s.h)
        )
        return _SCORE + slope * (s.kv - s.pos)

    return vocabulary_score(call_text("alibi", slopes=slopes), step)


def _press_slope(s: Scope) -> Any:
    count = s.heads.q
    whole = 2 ** int(math.log2(count))
    exponent = (s.h + 1) * (-8.0 / whole)
    if whole != count:
        between = ((s.h - whole) * 2 + 1) * (-4.0 / whole)
        exponent = Proxy(apply(Op.WHERE, (s.h < whole).expr, exponent.expr, between.expr))
    return Proxy(make(Op.EXP2, exponent.expr))


def softcap(c: float | str) -> Score:
    """c * tanh(score / c) (Gemma 2, arXiv:2408.00118). ``c``: float > 0, or the name of a float32 parameter."""
    _above_zero("softcap", "c", c)

    def step(s: Scope) -> Any:
        cap = _positive(s, c, "softcap", "c")
        return cap * Proxy(make(Op.TANH, (_SCORE / cap).expr))

    return vocabulary_score(call_text("softcap", c), step)


def temperature(t: float | str) -> Score:
    """score / t. ``t``: float > 0, or the name of a float32 parameter."""
    _above_zero("temperature", "t", t)
    return vocabulary_score(call_text("temperature", t), lambda s: _SCORE / _positive(s, t, "temperature", "t"))


def _above_zero(entry: str, name: str, value: Any) -> None:
    if isinstance(value, str):
        return
    if not is_float(value) or value <= 0:
        raise SpecError(
            f"{value!r} is no number above 0",
            place=f"{entry}({name})",
            remedy="use a float or a declared float32 parameter",
        )


def _positive(s: Scope, value: Any, entry: str, name: str) -> Any:
    """The number; a text may be a constant too."""
    number = s.number(value, f"{entry}({name})", Kind.FLOAT)
    constant = simplify(number.expr)
    if constant.op is Op.CONST:
        _above_zero(entry, name, constant.value)
    return number


def relative_bias(table: Any, offset: Number | None = None) -> Score:
    """score + table[h, pos - kv + offset], clamped to the table (Shaw et al., arXiv:1803.02155, with scalars).

    ``table``: float tensor [H, R] or [R]. ``offset``: the entry of distance 0; None is R // 2.
    """

    def step(s: Scope) -> Any:
        bias = s.tensor(table, "table", "relative_bias(table)", (1, 2))
        zero = s.size(bias, -1) // 2 if offset is None else s.number(offset, "relative_bias(offset)")
        return _SCORE + _float(s.load(bias, (s.h,), s.pos - s.kv + zero))

    return vocabulary_score(call_text("relative_bias", table, offset=offset), step)


def t5_bias(table: Any, buckets: int = 32, max_distance: int = 128, bidirectional: bool = True) -> Score:
    """score + table[bucket(kv - pos), h] (T5, arXiv:1910.10683).

    ``table``: float tensor [buckets, H]. Half of the buckets (a quarter for each direction, when
    ``bidirectional``) hold one distance each, the rest grow by a constant ratio up to ``max_distance``.
    The borders of the growing buckets are computed exactly, in integers, so that a kernel and the
    oracle never disagree on one.
    """
    positive("t5_bias", "buckets", buckets)
    positive("t5_bias", "max_distance", max_distance)
    if not isinstance(bidirectional, bool):
        raise SpecError(
            f"{bidirectional!r} is no truth value", place="t5_bias(bidirectional)", remedy="use True or False"
        )
    if buckets > _MOST_BUCKETS:
        raise SpecError(f"{buckets} buckets", place="t5_bias(buckets)", remedy=f"use at most {_MOST_BUCKETS}")
    side = buckets // 2 if bidirectional else buckets
    exact = side // 2
    if exact < 1 or max_distance <= exact:
        raise SpecError(
            f"{buckets} buckets and a maximum distance of {max_distance}",
            place="t5_bias",
            remedy="use at least 4 buckets (2 in one direction) and a max_distance above the number of exact ones",
        )

    def step(s: Scope) -> Any:
        ahead = s.kv - s.pos
        distance = abs(ahead) if bidirectional else _most(-ahead, 0)
        bucket = _least(distance, exact)
        for border in _borders(exact, side, max_distance):
            bucket = bucket + Proxy(make(Op.TO_INT, (distance >= border).expr))
        if bidirectional:
            bucket = bucket + Proxy(make(Op.TO_INT, (ahead > 0).expr)) * side
        bias = s.tensor(table, "table", "t5_bias(table)", (2,))
        return _SCORE + _float(s.load(bias, (), bucket, s.h))

    text = call_text("t5_bias", table, buckets=buckets, max_distance=max_distance, bidirectional=bidirectional)
    return vocabulary_score(text, step)


def _borders(exact: int, side: int, max_distance: int) -> list[int]:
    """The least distance of each bucket after the first growing one.

    Bucket exact + i starts at exact * (max_distance / exact)^(i / (side - exact)).
    """
    count = side - exact
    out = []
    for i in range(1, count):
        least = exact ** (count - i) * max_distance**i
        out.append(bisect.bisect_left(range(max_distance), least, lo=exact, key=lambda border: border**count))
    return out


def _least(x: Any, limit: int) -> Any:
    return Proxy(apply(Op.MIN, x.expr, const(limit)))


def _most(x: Any, limit: int) -> Any:
    return Proxy(apply(Op.MAX, x.expr, const(limit)))


def bias(tensor: Any) -> Score:
    """score + tensor[b, h, q, kv]: an attention bias, as in PyTorch's ``attn_mask`` of floats. Raw indices.

    ``tensor``: float tensor whose dimensions align from the right with [B, H, M, N]; those of size 1 broadcast.
    """

    def step(s: Scope) -> Any:
        ref = s.tensor(tensor, "bias", "bias(tensor)", (1, 2, 3, 4))
        index: list[Any] = [s.b, s.h, s.q, s.kv][4 - ref.rank :]
        index = [0 if size == 1 else item for item, size in zip(index, ref.shape, strict=True)]
        return _SCORE + _float(s.load(ref, (), *index))

    return vocabulary_score(call_text("bias", tensor), step)


def decay(gate: Any) -> Score:
    """score + gate[b, h, pos] - gate[b, h, kv] (Forgetting Transformer, arXiv:2503.02130).

    ``gate``: float tensor [B, H, N], the running sum over positions of the log forget gates.
    """

    def step(s: Scope) -> Any:
        ref = s.tensor(gate, "gate", "decay(gate)", (3,))
        return _SCORE + (_float(s.load(ref, (), s.b, s.h, s.pos)) - _float(s.load(ref, (), s.b, s.h, s.kv)))

    return vocabulary_score(call_text("decay", gate), step)


def _float(x: Proxy) -> Proxy:
    return Proxy(to_float(x.expr))
