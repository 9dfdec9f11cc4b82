"""A random instance of every entry of the vocabulary, as Python source. A new entry joins here; a test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Names:
    """The parameters and tensors that a case has so far.

    ``tensors``: name -> source of a captured tensor; ``declared``: name -> (shape, dtype); sizes in the
    sources are letters, so that one case serves calls of several lengths.
    """

    rng: np.random.Generator
    heads: tuple[int, int]
    params: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
    declared: dict[str, tuple[list[int | str], str]] = field(default_factory=dict)

    def some(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def seed(self) -> int:
        return int(self.rng.integers(1000))

    def param(self, dtype: str) -> str:
        name = self.some("W", "P") if dtype == "int32" else self.some("tau", "rho")
        self.params[name] = dtype
        return str(name)

    def captured(self, maker: str, *sizes: int | str, **options: Any) -> str:
        """The name of a new captured tensor."""
        name = f"t{len(self.tensors)}"
        given = [*map(str, sizes), *(f"{key}={value}" for key, value in options.items())]
        self.tensors[name] = f"{maker}({', '.join([*given, f'seed={self.seed()}'])})"
        return name

    def declare(self, shape: Sequence[int | str], dtype: str) -> str:
        name = f"d{len(self.declared)}"
        self.declared[name] = (list(shape), dtype)
        return name

    def number(self, *values: int) -> str:
        """A constant, a parameter, or an expression of one."""
        if self.chance(0.7):
            return str(self.some(*values))
        return repr(self.some("{}", "{}", "{} + 2", "minimum({}, 20)").format(self.param("int32")))


Entry = Callable[[Names], str]


def _causal(n: Names) -> str:
    return str(n.some("causal()", "causal()", 'causal(align="top_left")'))


def _sliding_window(n: Names) -> str:
    kind = n.rng.integers(5)
    if kind == 0:
        shape = n.some(("H",), ("B", "H"))
        return f"sliding_window({n.captured('numbers', *shape, low=1, high=50)})"
    if kind == 1:
        return f"sliding_window({n.number(0, 5, 16, 30)}, {n.number(0, 3, 16, 40)})"
    if kind == 2:
        letters = n.some(["H"], ["B", "H"])
        return f'sliding_window("{n.declare(letters, "int32")}")'
    return f"sliding_window({n.number(1, 2, 15, 16, 17, 33, 64)})"


def _prefix_lm(n: Names) -> str:
    if n.chance(0.3):
        return f"prefix_lm({n.captured('numbers', 'B', high='N')})"
    return f"prefix_lm({n.number(0, 1, 16, 33, 70)})"


def _document(n: Names) -> str:
    kind = n.rng.integers(4)
    if kind == 0:
        source = n.captured("boundaries", *n.some((5,), ("B", 4)), n="N")
        return f"document(cu_seqlens={source})"
    if kind == 1:
        letters = n.some(["N"], ["B", "N"])
        return f'document(ids="{n.declare(letters, "int32")}")'
    if kind == 2:
        letters = n.some([4], ["B", 6])
        return f'document(cu_seqlens="{n.declare(letters, "int32")}")'
    in_order = n.chance(0.7)
    dtype = n.some('"int32"', '"int64"')
    shape = n.some(("N",), ("B", "N"))
    return f"document(ids={n.captured('ids', *shape, count=n.some(1, 3, 6), in_order=in_order, dtype=dtype)})"


def _bigbird(n: Names) -> str:
    block, window, first, drawn = n.some(8, 16, 32), n.some(0, 1, 3), n.some(0, 1, 2), n.some(0, 1, 2)
    return f"bigbird(block={block}, window={window}, globals={first}, random={drawn}, seed={n.seed()})"


def _neighborhood(n: Names) -> str:
    return "neighborhood" + str(
        n.some(
            "(37, 7)", "(64, 15, 3)", "((5, 17), (3, 5))", "((6, 14), (3, 3), (1, 2))", "((8, 8), 3, 2)",
            "((3, 4, 7), 3)", "((2, 5, 9), (1, 3, 4), (1, 1, 2))",
        )
    )  # fmt: skip


def _local_window(n: Names) -> str:
    return "local_window" + str(
        n.some("(64, 9)", "(70, 16, 5)", "((6, 14), (3, 7))", "((6, 14), (3, 7), (1, 3))", "((3, 4, 7), 2, (0, 1, 1))")
    )


def _vertical_slash(n: Names) -> str:
    lists = [n.captured("numbers", *n.some((3,), ("H", 4)), high=n.some(16, "N")) for _ in range(2)]
    return f"vertical_slash({lists[0]}, {lists[1]})"


def _tree(n: Names) -> str:
    shape = n.some(("M",), ("B", "M"))
    kind = n.rng.integers(3)
    if kind == 0:
        return f"tree(ancestor_bits={n.captured('ancestor_bits', *shape)})"
    if kind == 1:
        return f'tree(parents="{n.declare(list(shape), "int32")}")'
    return f"tree(parents={n.captured('parents', *shape)})"


def _block_sparse(n: Names) -> str:
    rows, columns = n.some((16, 16), (16, 32), (8, 16), (32, 32), (5, 16))
    shape = (*n.some((), (), ("H",), ("B", "H")), f"-(-M // {rows})", f"-(-N // {columns})")
    block = rows if rows == columns and n.chance(0.5) else (rows, columns)
    return f"block_sparse({n.captured('flags', *shape, share=0.5)}, block={block})"


def _lengths(n: Names) -> str:
    given = n.some(("q",), ("kv",), ("q", "kv"))
    sizes = {"q": "M + 1", "kv": "N + 1"}
    return "lengths(" + ", ".join(f"{key}={n.captured('numbers', 'B', high=sizes[key])}" for key in given) + ")"


MASKS: Mapping[str, Entry] = {
    "full": lambda n: "full()",
    "causal": _causal,
    "sliding_window": _sliding_window,
    "sink": lambda n: f"sink({n.number(0, 1, 4, 16, 40)})",
    "prefix_lm": _prefix_lm,
    "document": _document,
    "chunked": lambda n: f"chunked({n.some(1, 5, 16, 23, 32, 100)})",
    "block_diagonal": lambda n: f"block_diagonal({n.some(7, 16, 64)})",
    "dilated": lambda n: f"dilated({n.some(1, 2, 3, 7, 16)})",
    "strided": lambda n: f"strided({n.some(1, 2, 9, 16)})",
    "fixed": lambda n: "fixed" + str(n.some("(16, 3)", "(8, 1)", "(5, 5)", "(32, 4)")),
    "global_tokens": lambda n: f"global_tokens({n.number(0, 1, 3, 16)})",
    "bigbird": _bigbird,
    "neighborhood": _neighborhood,
    "local_window": _local_window,
    "vertical_slash": _vertical_slash,
    "tree": _tree,
    "block_sparse": _block_sparse,
    "lengths": _lengths,
}


def _number_above_zero(n: Names, *values: float) -> str:
    return str(n.some(*values)) if n.chance(0.7) else repr(n.param("float32"))


def _alibi(n: Names) -> str:
    return "alibi()" if n.chance(0.6) else f"alibi({n.captured('normal', 'H')})"


def _relative_bias(n: Names) -> str:
    table = n.captured("normal", *n.some((31,), ("H", 31), ("H", 8)), dtype=n.some('"float32"', '"bfloat16"'))
    return f"relative_bias({table}{n.some('', '', ', offset=20', ', offset=0')})"


def _t5_bias(n: Names) -> str:
    buckets, distance, both = n.some(8, 16), n.some(20, 64), n.some(True, False)
    table = n.captured("normal", buckets, "H")
    return f"t5_bias({table}, buckets={buckets}, max_distance={distance}, bidirectional={both})"


def _bias(n: Names) -> str:
    if n.chance(0.25):
        letters = n.some(["M", "N"], ["H", "M", "N"], ["B", "H", "M", "N"])
        return f'bias("{n.declare(letters, n.some("fp32", "fp16"))}")'
    shape = [1 if n.chance(0.3) else letter for letter in ("B", "H", "M", "N")][n.rng.integers(4) :]
    dtype = n.some('"float32"', '"float16"')
    return f"bias({n.captured('normal', *shape, dtype=dtype)})"


SCORES: Mapping[str, Entry] = {
    "alibi": _alibi,
    "softcap": lambda n: f"softcap({_number_above_zero(n, 3.0, 30.0)})",
    "temperature": lambda n: f"temperature({_number_above_zero(n, 0.7, 1.7, 3.0)})",
    "relative_bias": _relative_bias,
    "t5_bias": _t5_bias,
    "bias": _bias,
    "decay": lambda n: f"decay({n.captured('gates', 'B', 'H', 'N')})",
}
