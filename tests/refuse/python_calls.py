"""Hostile arguments of the Python API: what is called, and a word that its refusal has to hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import attngen as ag

HUGE = 10**400
INTEGERS, FLOATS = torch.zeros(4, dtype=torch.int32), torch.zeros(4)
Case = tuple[Callable[[], Any], str]


def spec(**options: Any) -> ag.AttentionSpec:
    return ag.AttentionSpec(**{"name": "x", "heads": 4, "head_dim": 64, **options})


def masked(make: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: spec(mask=make())


def scored(make: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: spec(score=make())


def _recurse(b: Any, h: Any, q: Any, kv: Any) -> Any:
    return _recurse(b, h, q, kv)


SPECS: dict[str, Case] = {
    "name of bytes": (lambda: spec(name=b"x"), "b'x'"),
    "no name": (lambda: spec(name=None), "None"),
    "heads of text": (lambda: spec(heads="44"), "44"),
    "heads of an array": (lambda: spec(heads=np.array([4, 4])), "pair"),
    "huge heads": (lambda: spec(heads=2**70), "65535"),
    "Heads of nothing": (lambda: spec(heads=ag.Heads(4, 0)), "kv = 0"),
    "Heads of Heads": (lambda: spec(heads=ag.Heads(ag.Heads(4, 4), 4)), "Heads"),
    "head dimension of a tensor": (lambda: spec(head_dim=torch.tensor(64)), "tensor(64)"),
    "HeadDim below nothing": (lambda: spec(head_dim=ag.HeadDim(64, -1)), "-1"),
    "dtype of torch": (lambda: spec(dtype=torch.float64), "float64"),
    "dtype of NumPy": (lambda: spec(dtype=np.int8), "int8"),
    "dtype of a list": (lambda: spec(dtype=["bf16"]), "dtype"),
    "mask of a number": (lambda: spec(mask=3), "int is no mask"),
    "mask of a tensor": (lambda: spec(mask=torch.ones(4, 4, dtype=torch.bool)), "Tensor"),
    "mask of bytes": (lambda: spec(mask=b"causal"), "bytes"),
    "mask of a list": (lambda: spec(mask=["causal"]), "list"),
    "mask of a class": (lambda: spec(mask=int), "traced"),
    "mask that was not called": (lambda: spec(mask=ag.causal), "traced"),
    "mask of no arguments": (lambda: spec(mask=lambda: True), "traced"),
    "mask that divides": (lambda: spec(mask=lambda b, h, q, kv: 1 / 0), "ZeroDivisionError"),
    "mask that recurses": (lambda: spec(mask=_recurse), "RecursionError"),
    "mask that gives nothing": (lambda: spec(mask=lambda b, h, q, kv: None), "None"),
    "mask that gives text": (lambda: spec(mask=lambda b, h, q, kv: "kv <= q"), "str"),
    "mask that branches": (lambda: spec(mask=lambda b, h, q, kv: q if q > kv else kv), "where"),
    "mask that unrolls": (lambda: spec(mask=lambda b, h, q, kv: sum(q > i for i in range(9_000)) > 3), "operations"),
    "score of a mask": (lambda: spec(score=ag.causal()), "no score"),
    "score of a set": (lambda: spec(score={"alibi"}), "set"),
    "score of a generator": (lambda: spec(score=(x for x in ["alibi"])), "generator"),
    "step of a list": (lambda: spec(score=[["alibi"]]), "list"),
    "huge scale": (lambda: spec(scale=HUGE), "scale"),
    "complex scale": (lambda: spec(scale=1j), "1j"),
    "scale of a tensor": (lambda: spec(scale=torch.tensor(1.0)), "tensor"),
    "no normaliser": (lambda: spec(normalizer=None), "None"),
    "normaliser of a mask": (lambda: spec(normalizer=ag.causal()), "normalizer"),
    "sink of a number": (lambda: spec(sink=3), "no"),
    "sink of objects": (lambda: spec(sink=np.array([None])), "object"),
    "sink of complex numbers": (lambda: spec(sink=torch.zeros(4, dtype=torch.complex64)), "complex64"),
    "empty sink": (lambda: spec(sink=[]), "at least one"),
    "sink of seven heads": (lambda: spec(sink=[0.0] * 7), "7 logits for 4 heads"),
    "huge blocks": (lambda: spec(blocks=2**100), "4096"),
    "three blocks": (lambda: spec(blocks=(64, 64, 64)), "no pair"),
    "blocks by number": (lambda: spec(blocks={"q": 64, 3: 4}), "unknown key `3`"),
    "params of pairs": (lambda: spec(params=[("W", "int32")]), "list"),
    "params by number": (lambda: spec(params={3: "int32"}), "cannot name an argument"),
    "no params": (lambda: spec(params=None), "NoneType"),
    "tensors of a number": (lambda: spec(tensors=3), "int"),
    "tensors of tensors": (lambda: spec(tensors={"t": torch.zeros(3)}), "tensors.t"),
    "shape of a number": (lambda: ag.TensorSpec(3, "fp32"), "no shape"),
    "huge shape": (lambda: ag.TensorSpec((2**31,), "fp32"), "2147483648"),
    "dtype of a number": (lambda: ag.TensorSpec(("H",), 3), "3"),
    "doc of bytes": (lambda: spec(doc=b"x"), "b'x'"),
    "tf32 of nothing": (lambda: spec(tf32=None), "None"),
    "replace an unknown argument": (lambda: spec().replace(maks=3), "did you mean `mask`"),
    "replace with a bad one": (lambda: spec().replace(heads=0), "q = 0"),
}

VOCABULARY: dict[str, Case] = {
    "causal(3)": (lambda: ag.causal(3), "3"),
    "causal([])": (lambda: ag.causal([]), "[]"),
    "window of a float": (lambda: ag.sliding_window(1.5), "1.5"),
    "window of an object": (masked(lambda: ag.sliding_window(object())), "not a tensor"),
    "huge window": (lambda: ag.sliding_window(HUGE), "no integer"),
    "window below nothing": (lambda: ag.sliding_window(3, -1), "-1"),
    "window of a float tensor": (masked(lambda: ag.sliding_window(FLOATS)), "float"),
    "window of three dimensions": (masked(lambda: ag.sliding_window(np.zeros((2, 2, 2), np.int32))), "3 dimensions"),
    "window of bytes": (masked(lambda: ag.sliding_window(b"3")), "b'3'"),
    "chunk of text": (lambda: ag.chunked("3"), "'3'"),
    "chunk of NumPy's zero": (lambda: ag.chunked(np.int64(0)), "0"),
    "stride of a truth value": (lambda: ag.strided(True), "True"),
    "prefix of floats": (masked(lambda: ag.prefix_lm(FLOATS)), "float"),
    "documents of a number": (masked(lambda: ag.document(3)), "3"),
    "documents of floats": (masked(lambda: ag.document(FLOATS)), "fp32"),
    "documents of nothing": (masked(lambda: ag.document(INTEGERS[:0])), "no elements"),
    "documents of a dictionary": (masked(lambda: ag.document({"a": 1})), "not a tensor"),
    "documents of three dimensions": (masked(lambda: ag.document([[[1]]])), "3 dimensions"),
    "documents that are sparse": (masked(lambda: ag.document(INTEGERS.to_sparse())), "sparse"),
    "documents of text": (masked(lambda: ag.document(np.array(["a"]))), "dtype"),
    "documents beyond int32": (masked(lambda: ag.document([2**40])), "int32"),
    "documents with a gap": (masked(lambda: ag.document([1, None])), "numbers"),
    "documents without data": (masked(lambda: ag.document(INTEGERS.to("meta"))), "meta"),
    "a billion random blocks": (lambda: ag.bigbird(random=10**9), "1000000000"),
    "block of text": (lambda: ag.bigbird(block="x"), "x"),
    "fractional seed": (lambda: ag.bigbird(seed=1.5), "1.5"),
    "grid of nothing": (lambda: ag.neighborhood(None, 3), "None"),
    "grid of a float": (lambda: ag.neighborhood(4.0, 3), "4.0"),
    "window of nothing": (lambda: ag.neighborhood((4, 4), None), "None"),
    "negative shift": (lambda: ag.local_window((4, 4), (2, 2), shift=-1), "-1"),
    "grid of a set": (lambda: ag.local_window({4, 5}, 2), "{4, 5}"),
    "verticals of floats": (masked(lambda: ag.vertical_slash([0.5], [1])), "integers"),
    "tree of floats": (masked(lambda: ag.tree([0.5])), "integers"),
    "bits of one dimension": (masked(lambda: ag.tree(ancestor_bits=[1])), "1 dimensions"),
    "blocks of nothing": (lambda: ag.block_sparse([[1]], None), "None"),
    "blocks of three": (lambda: ag.block_sparse([[1]], (1, 2, 3)), "(1, 2, 3)"),
    "blocks of zero": (lambda: ag.block_sparse([[1]], (0, 1)), "0"),
    "blocks of a float": (lambda: ag.block_sparse([[1]], 1.5), "1.5"),
    "lengths of floats": (masked(lambda: ag.lengths(q=FLOATS)), "fp32"),
    "lengths of a number": (masked(lambda: ag.lengths(q=3)), "not a tensor"),
    "slopes of two dimensions": (scored(lambda: ag.alibi([[1.0]])), "2 dimensions"),
    "huge cap": (lambda: ag.softcap(HUGE), "above 0"),
    "cap of nothing": (lambda: ag.softcap(None), "None"),
    "negative cap as text": (scored(lambda: ag.softcap("-3")), "-3 is no"),
    "infinite cap as text": (scored(lambda: ag.softcap("inf")), "inf"),
    "no temperature": (scored(lambda: ag.temperature("1 - 1")), "above 0"),
    "offset of a float": (scored(lambda: ag.relative_bias([1.0], offset=0.5)), "0.5"),
    "offset of a query": (scored(lambda: ag.relative_bias([1.0], offset="q")), "query"),
    "direction of text": (lambda: ag.t5_bias([[1.0]], bidirectional="no"), "truth"),
    "bias of five dimensions": (scored(lambda: ag.bias(np.zeros((1,) * 5, np.float32))), "5 dimensions"),
    "infinite bias": (lambda: ag.sigmoid(float("inf")), "inf"),
    "bias of nothing": (lambda: ag.sigmoid(None), "None"),
    "truth of a mask": (lambda: bool(ag.causal()), "truth value"),
    "mask and a number": (lambda: ag.causal() & 3, "int"),
    "mask and a score": (lambda: ag.causal() & ag.alibi(), "no mask"),
    "mask and half a text": (masked(lambda: ag.causal() & "kv <="), "ends"),
}

CAUSAL, WINDOW = spec(mask="causal"), spec(mask="sliding_window(W)", params={"W": "int32"})
TABLE = spec(score="score + t[h]", tensors={"t": (("H",), "fp32")})

VERBS: dict[str, Case] = {
    "generate nothing": (lambda: ag.generate(None), "NoneType"),
    "generate a text": (lambda: ag.generate("causal"), "str"),
    "target of nothing": (lambda: ag.generate(CAUSAL, target=None), "None"),
    "target of a list": (lambda: ag.generate(CAUSAL, target=["h100"]), "h100"),
    "target of control characters": (lambda: ag.generate(CAUSAL, target="\x1b[2J"), "\\u001b"),
    "long target": (lambda: ag.generate(CAUSAL, target="x" * 100_000), "x"),
    "dtype": (lambda: ag.generate(CAUSAL, dtype="fp8"), "fp8"),
    "dtype of a number": (lambda: ag.generate(CAUSAL, dtype=3), "3"),
    "plan of a number": (lambda: ag.generate(CAUSAL, plan=3), "no plan"),
    "unknown field of a plan": (lambda: ag.generate(CAUSAL, plan={"blok_m": 64}), "did you mean `block_m`"),
    "zero tile": (lambda: ag.generate(CAUSAL, plan={"block_m": 0}), "0"),
    "negative tile": (lambda: ag.generate(CAUSAL, plan={"block_m": -64}), "-64"),
    "tile of text": (lambda: ag.generate(CAUSAL, plan={"block_m": "64"}), "64"),
    "tile of a float": (lambda: ag.generate(CAUSAL, plan={"block_n": 64.0}), "64.0"),
    "tile of 100": (lambda: ag.generate(CAUSAL, plan={"block_m": 100}), "power of two"),
    "huge tile": (lambda: ag.generate(CAUSAL, plan={"block_m": 2**70}), "no size"),
    "three warps": (lambda: ag.generate(CAUSAL, plan={"num_warps": 3}), "no plan"),
    "a billion stages": (lambda: ag.generate(CAUSAL, plan={"num_stages": 10**8}), "no plan"),
    "no keys": (lambda: ag.generate(CAUSAL, seqlen=0), "0"),
    "fewer than no keys": (lambda: ag.generate(CAUSAL, seqlen=-5), "-5"),
    "keys of text": (lambda: ag.generate(CAUSAL, seqlen="a"), "'a'"),
    "endless keys": (lambda: ag.generate(CAUSAL, seqlen=float("inf")), "inf"),
    "huge keys": (lambda: ag.generate(CAUSAL, seqlen=10**30), "2147483647"),
    "command of a number": (lambda: ag.generate(CAUSAL, command=3), "text"),
    "compile nothing": (lambda: ag.compile(None), "NoneType"),
    "compile for an unknown backend": (lambda: ag.compile(CAUSAL, backend="cuda"), "cuda"),
    "compile for an unknown target": (lambda: ag.compile(CAUSAL, target="x"), "x"),
    "compile with an unknown field": (lambda: ag.compile(CAUSAL, plan={"blok": 1}), "blok"),
    "build nothing": (lambda: ag.build(None), "NoneType"),
    "build for an unknown target": (lambda: ag.build(CAUSAL, target="x"), "x"),
    "build with a bad dtype": (lambda: ag.build(CAUSAL, dtype="x"), "x"),
    "build with a bad plan": (lambda: ag.build(CAUSAL, plan={"block_m": 7}), "no plan"),
    "build for fewer than no queries": (lambda: ag.build(CAUSAL, seqlen_q=-1), "-1"),
    "explain nothing": (lambda: ag.explain(None), "NoneType"),
    "explain an unknown stage": (lambda: ag.explain(CAUSAL, stage="x"), "x"),
    "explain an unknown parameter": (lambda: ag.explain(CAUSAL, params={"a": 1}), "a"),
    "explain no length": (lambda: ag.explain(CAUSAL, seqlen=0), "0"),
    "explain a huge length": (lambda: ag.explain(CAUSAL, seqlen=10**30), "2147483647"),
    "explain no lengths": (lambda: ag.explain(CAUSAL, seqlen=[]), "[]"),
    "explain lengths of text": (lambda: ag.explain(CAUSAL, seqlen="1k"), "1k"),
    "explain a huge length among others": (lambda: ag.explain(CAUSAL, seqlen=(1, 2**31)), "2147483647"),
    "explain why of an unknown field": (lambda: ag.explain(CAUSAL, why={"blok": 1}), "blok"),
    "explain why of no mapping": (lambda: ag.explain(CAUSAL, why=3), "int"),
    "explain against an unknown device": (lambda: ag.explain(CAUSAL, against=("x",)), "x"),
    "schedule nothing": (lambda: ag.schedule(None), "NoneType"),
    "schedule no tile": (lambda: ag.schedule(CAUSAL, q_tile=0), "0"),
    "schedule half a tile": (lambda: ag.schedule(CAUSAL, q_tile=1.5), "1.5"),
    "schedule a huge tile": (lambda: ag.schedule(CAUSAL, q_tile=2**60), "1024"),
    "tiles below nothing": (lambda: ag.schedule(CAUSAL).tiles(-1), "-1"),
    "tiles without end": (lambda: ag.schedule(CAUSAL).tiles(2**31 - 1), "tiles"),
    "tiles without a parameter": (lambda: ag.schedule(WINDOW).tiles(64), "`W` is missing"),
    "find no target": (lambda: ag.find_target(None), "None"),
    "reference of nothing": (lambda: ag.reference(None, 0, 0, 0), "NoneType"),
}
