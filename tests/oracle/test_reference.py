"""The oracle against FlexAttention's eager float64 path, and against what can be said by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attngen.checking import plain
from attngen.checking.policy import numpy64
from attngen.errors import CallError
from attngen.expr.build import B_IDX, FALSE, H_IDX, KV_IDX, N_LEN, Q_IDX, SCORE, TRUE, const, load, make
from attngen.expr.op import Derived, Op, TensorRef
from attngen.language.definition import Definition, HeadDim, Heads, Sigmoid, Softmax
from attngen.oracle import reference
from tests.runtime.sample import SampleSpec
from tests.runtime.sample import definition as sample_definition
from tests.support.flex import flex_reference

PLAIN = Definition(
    heads=Heads(4, 2), head_dim=HeadDim(16, 16), dtype=None, tf32=False, scale=const(0.25), mask=TRUE, score=SCORE,
    normalizer=Softmax(), params=(), tensors=(),
)  # fmt: skip
SHIFTED = make(Op.SUB, make(Op.ADD, KV_IDX, H_IDX), B_IDX)
CAUSAL = make(Op.LE, KV_IDX, Q_IDX)


def inputs(batch: int = 2, m: int = 33, n: int = 40, dv: int = 16, kv_batch: int | None = None) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(m * n)
    kv = kv_batch or batch
    shapes = ((batch, 4, m, 16), (kv, 2, n, 16), (kv, 2, n, dv))
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def softcap(score: Any, b: Any, h: Any, q: Any, kv: Any) -> Any:
    return 5.0 * torch.tanh(score / 5.0) + h * 0.125 - (q - kv) * 0.0078125


SOFTCAP = make(
    Op.SUB,
    make(
        Op.ADD,
        make(Op.MUL, const(5.0), make(Op.TANH, make(Op.DIV, SCORE, const(5.0)))),
        make(Op.MUL, H_IDX, const(0.125)),
    ),
    make(Op.MUL, make(Op.SUB, Q_IDX, KV_IDX), const(0.0078125)),
)

FLEX: dict[str, tuple[Definition, Callable[..., Any] | None, Callable[..., Any] | None]] = {
    "full": (PLAIN, None, None),
    "causal": (replace(PLAIN, mask=CAUSAL), lambda b, h, q, kv: kv <= q, None),
    "softcap": (replace(PLAIN, mask=CAUSAL, score=SOFTCAP), lambda b, h, q, kv: kv <= q, softcap),
    "by head and batch": (
        replace(PLAIN, mask=make(Op.NE, make(Op.MOD, SHIFTED, const(3)), const(0))),
        lambda b, h, q, kv: (kv + h - b) % 3 != 0,
        None,
    ),
    "rows without keys": (
        replace(PLAIN, mask=make(Op.LT, KV_IDX, make(Op.SUB, Q_IDX, const(9)))), lambda b, h, q, kv: kv < q - 9, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLEX)
@pytest.mark.parametrize(("m", "n"), [(33, 40), (40, 33), (1, 17)])
def test_agrees_with_flex_attention(name: str, m: int, n: int) -> None:
    definition, mask_mod, score_mod = FLEX[name]
    q, k, v = inputs(m=m, n=n)
    out, lse = reference(definition, q, k, v)
    flex_out, flex_lse = flex_reference(q, k, v, mask_mod, score_mod, scale=0.25)
    np.testing.assert_allclose(out, flex_out.numpy(), atol=1e-12)
    np.testing.assert_allclose(lse, flex_lse.numpy(), atol=1e-12)


def test_sample_agrees_with_plain_pytorch() -> None:
    from attngen.oracle import environment

    n = 40
    spec = SampleSpec(sample_definition(), {"doc": np.arange(n, dtype=np.int32) // 15})
    values = {"slopes": np.linspace(0.1, 1, 4), "W": 6, "temperature": 1.7}
    q, k, v = (x.float() for x in inputs(m=33, n=n))
    out, lse = reference(spec, q, k, v, **values)
    other_out, other_lse = plain.attention(spec.definition, environment(spec, 2, 33, n, values), q, k, v)
    np.testing.assert_allclose(out, other_out.numpy(), atol=1e-5)
    np.testing.assert_allclose(lse, numpy64(other_lse), atol=1e-5)


def test_rows_without_keys() -> None:
    q, k, v = inputs()
    out, lse = reference(replace(PLAIN, mask=FALSE), q, k, v)
    assert (out == 0).all()
    assert lse is not None
    assert np.isneginf(lse).all()


@pytest.mark.parametrize("m", [0, 5])
def test_no_keys_at_all(m: int) -> None:
    q, k, v = inputs(m=m, n=0)
    out, lse = reference(PLAIN, q, k, v)
    assert out.shape == (2, 4, m, 16)
    assert (out == 0).all()
    assert lse is not None
    assert np.isneginf(lse).all()


def test_sinks() -> None:
    q, k, v = inputs()
    plain_out, plain_lse = reference(PLAIN, q, k, v)
    assert plain_lse is not None
    sink = TensorRef("sink", "fp32", ("H",))
    logits = np.array([-1.0, 0.0, 1.0, 5.0])
    out, lse = reference(replace(PLAIN, normalizer=Softmax(sink), tensors=(sink,)), q, k, v, sink=logits)
    wanted = np.logaddexp(plain_lse, logits[None, :, None])
    np.testing.assert_allclose(lse, wanted, rtol=1e-12)
    np.testing.assert_allclose(out, plain_out * np.exp(plain_lse - wanted)[..., None], atol=1e-12)
    _, off_by_one = reference(replace(PLAIN, normalizer=Softmax(0.0)), q, k, v)
    np.testing.assert_allclose(off_by_one, np.logaddexp(plain_lse, 0.0), rtol=1e-12)


def test_sink_in_a_row_without_keys() -> None:
    sink = TensorRef("sink", "fp32", ("H",))
    q, k, v = inputs()
    definition = replace(PLAIN, mask=FALSE, normalizer=Softmax(sink), tensors=(sink,))
    out, lse = reference(definition, q, k, v, sink=[1.0, 2.0, 3.0, 4.0])
    assert (out == 0).all()
    np.testing.assert_array_equal(lse, np.broadcast_to(np.array([1.0, 2.0, 3.0, 4.0])[None, :, None], (2, 4, 33)))


def test_sigmoid() -> None:
    q, k, v = inputs()
    definition = replace(PLAIN, mask=CAUSAL, normalizer=Sigmoid(const(-2.0)))
    out, lse = reference(definition, q, k, v)
    scores = 0.25 * q @ k.repeat_interleave(2, dim=1).transpose(-1, -2)
    keep = torch.arange(40)[None, :] <= torch.arange(33)[:, None]
    wanted = torch.where(keep, torch.sigmoid(scores - 2.0), 0.0) @ v.repeat_interleave(2, dim=1)
    assert lse is None
    np.testing.assert_allclose(out, wanted.numpy(), atol=1e-12)


def test_wider_values_and_one_batch_of_keys() -> None:
    q, k, v = inputs(dv=24, kv_batch=1)
    out, _ = reference(replace(PLAIN, head_dim=HeadDim(16, 24)), q, k, v)
    repeated, _ = reference(PLAIN, q, k.expand(2, -1, -1, -1), v[..., :16].expand(2, -1, -1, -1))
    assert out.shape == (2, 4, 33, 24)
    np.testing.assert_allclose(out[..., :16], repeated, atol=1e-14)


def test_huge_logits() -> None:
    q, k, v = inputs()
    out, lse = reference(PLAIN, q * 1e4, k, v)
    assert np.isfinite(out).all()
    assert lse is not None
    assert np.isfinite(lse).all()
    assert np.abs(lse).max() > 1e4


def test_bf16_inputs_are_taken_exactly() -> None:
    q, k, v = (x.bfloat16() for x in inputs())
    np.testing.assert_array_equal(reference(PLAIN, q, k, v)[0], reference(PLAIN, q.double(), k.double(), v.double())[0])


def test_derived_tensors() -> None:
    lengths = TensorRef("cu", "int32", (None,))
    ids = TensorRef("cu_ids", "int32", ("N",), derived=Derived("segment_ids", (lengths,)))
    mask = make(Op.EQ, load(ids, (make(Op.ADD, Q_IDX, make(Op.SUB, N_LEN, const(33))),)), load(ids, (KV_IDX,)))
    q, k, v = inputs()
    out, lse = reference(replace(PLAIN, mask=mask, tensors=(lengths,)), q, k, v, cu=[0, 10, 10, 25, 40])
    segment = np.searchsorted([10, 10, 25, 40], np.arange(40), side="right")
    flex_out, flex_lse = flex_reference(
        q, k, v, lambda b, h, i, j: torch.tensor(segment)[i + 7] == torch.tensor(segment)[j], scale=0.25
    )
    np.testing.assert_allclose(out, flex_out.numpy(), atol=1e-12)
    np.testing.assert_allclose(lse, flex_lse.numpy(), atol=1e-12)


def test_captured_tensors_are_replaced_by_name() -> None:
    n = 40
    values = {"slopes": np.zeros(4), "W": n, "temperature": 1.0}
    q, k, v = inputs(n=n)
    one = SampleSpec(sample_definition(), {"doc": np.zeros(n, np.int32)})
    two = SampleSpec(sample_definition(), {"doc": np.arange(n, dtype=np.int32) // 7})
    replaced, _ = reference(one, q, k, v, doc=two.captured["doc"], **values)
    np.testing.assert_array_equal(replaced, reference(two, q, k, v, **values)[0])
    assert not np.array_equal(replaced, reference(one, q, k, v, **values)[0])


def test_names_are_checked() -> None:
    q, k, v = inputs()
    with pytest.raises(CallError, match="did you mean `temperature`"):
        reference(sample_definition(), q, k, v, temprature=1.0)
    with pytest.raises(CallError, match="`slopes` is missing"):
        reference(sample_definition(), q, k, v, doc=np.zeros(40), W=1, temperature=1.0)
