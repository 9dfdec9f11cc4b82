"""The Python API refuses with its own errors, and a compiled function says which argument is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import attngen as ag
from attngen.errors import CallError
from tests.refuse.python_calls import CAUSAL, SPECS, TABLE, VERBS, VOCABULARY, WINDOW, spec
from tests.refuse.refused import refused

CASES = {f"{kind}-{name}": case for kind, table in
         (("spec", SPECS), ("vocabulary", VOCABULARY), ("verb", VERBS)) for name, case in table.items()}  # fmt: skip
Q, T = torch.zeros(1, 4, 8, 64), torch.zeros(4)
META = Q.to("meta")


@pytest.mark.parametrize(("call", "says"), CASES.values(), ids=list(CASES))
def test_it_is_refused(call: Callable[[], Any], says: str) -> None:
    refused(call, says, placed=says != "no plan" and says != "power of two")


CALLS: dict[str, tuple[ag.AttentionSpec, tuple[Any, ...], dict[str, Any], str]] = {
    "nothing": (CAUSAL, (None, None, None), {}, "NoneType"),
    "arrays": (CAUSAL, (Q.numpy(), Q.numpy(), Q.numpy()), {}, "ndarray"),
    "lists": (CAUSAL, ([1], [2], [3]), {}, "list"),
    "three dimensions": (CAUSAL, (Q[0], Q, Q), {}, "3 dimensions"),
    "three heads": (CAUSAL, (Q, Q[:, :3], Q), {}, "[1, 3, 8, 64]"),
    "half the width": (CAUSAL, (Q[..., :32], Q, Q), {}, "32"),
    "fewer values than keys": (CAUSAL, (Q, Q, Q[:, :, :4]), {}, "[1, 4, 4, 64]"),
    "another batch": (CAUSAL, (Q.expand(2, 4, 8, 64), Q.expand(3, 4, 8, 64), Q), {}, "[3, 4, 8, 64]"),
    "doubles": (CAUSAL, (Q.double(),) * 3, {}, "fp64"),
    "integers": (CAUSAL, (Q.int(),) * 3, {}, "int32"),
    "complex numbers": (CAUSAL, (Q.cfloat(), Q, Q), {}, "complex64"),
    "two dtypes": (CAUSAL, (Q, Q.half(), Q), {}, "fp16"),
    "two devices": (CAUSAL, (Q, META, Q), {}, "meta"),
    "no device": (CAUSAL, (META, META, META), {}, "meta"),
    "sparse": (CAUSAL, (Q.to_sparse(), Q, Q), {}, "sparse"),
    "another dtype than the spec's": (spec(dtype="bf16"), (Q, Q, Q), {}, "bf16"),
    "a gradient": (CAUSAL, (Q.clone().requires_grad_(), Q, Q), {}, "gradient"),
    "output of a number": (CAUSAL, (Q, Q, Q), {"out": 3}, "int"),
    "output of another shape": (CAUSAL, (Q, Q, Q), {"out": Q[:, :2]}, "[1, 2, 8, 64]"),
    "output of another dtype": (CAUSAL, (Q, Q, Q), {"out": Q.half()}, "fp16"),
    "unknown argument": (CAUSAL, (Q, Q, Q), {"W": 3}, "W"),
    "parameter missing": (WINDOW, (Q, Q, Q), {}, "W"),
    "parameter of text": (WINDOW, (Q, Q, Q), {"W": "3"}, "W"),
    "parameter of a float": (WINDOW, (Q, Q, Q), {"W": 1.5}, "1.5"),
    "parameter beyond int32": (WINDOW, (Q, Q, Q), {"W": 2**40}, "1099511627776"),
    "endless parameter": (WINDOW, (Q, Q, Q), {"W": float("inf")}, "inf"),
    "parameter that is no number": (WINDOW, (Q, Q, Q), {"W": float("nan")}, "nan"),
    "parameter of a tensor": (WINDOW, (Q, Q, Q), {"W": torch.zeros(3)}, "W"),
    "parameter misspelt": (WINDOW, (Q, Q, Q), {"w": 3}, "known: W"),
    "tensor missing": (TABLE, (Q, Q, Q), {}, "`t`"),
    "tensor of a number": (TABLE, (Q, Q, Q), {"t": 3}, "int"),
    "tensor of a list": (TABLE, (Q, Q, Q), {"t": [0.0] * 4}, "list"),
    "tensor of an array": (TABLE, (Q, Q, Q), {"t": np.zeros(4, np.float32)}, "ndarray"),
    "tensor too short": (TABLE, (Q, Q, Q), {"t": T[:3]}, "[3]"),
    "tensor of two dimensions": (TABLE, (Q, Q, Q), {"t": torch.zeros(4, 2)}, "[4, 2]"),
    "tensor of another dtype": (TABLE, (Q, Q, Q), {"t": T.double()}, "fp64"),
    "tensor of another device": (TABLE, (Q, Q, Q), {"t": T.to("meta")}, "meta"),
    "lse of a sigmoid": (spec(normalizer="sigmoid"), (Q, Q, Q), {"return_lse": True}, "lse"),
}


@pytest.mark.parametrize(("variant", "args", "options", "says"), CALLS.values(), ids=list(CALLS))
def test_a_call_is_refused(variant: ag.AttentionSpec, args: Any, options: Any, says: str) -> None:
    attend = ag.compile(variant)
    refused(lambda: attend(*args, **options), says)


REFERENCES: dict[str, tuple[ag.AttentionSpec, tuple[Any, ...], dict[str, Any], str]] = {
    "nothing": (CAUSAL, (None, None, None), {}, "object"),
    "text": (CAUSAL, (np.array(["x"]), Q, Q), {}, "shape [1]"),
    "three dimensions": (CAUSAL, (Q[0], Q, Q), {}, "[4, 8, 64]"),
    "three heads": (CAUSAL, (Q, Q[:, :3], Q), {}, "[1, 3, 8, 64]"),
    "half the width": (CAUSAL, (Q[..., :32], Q, Q), {}, "[1, 4, 8, 32]"),
    "fewer values than keys": (CAUSAL, (Q, Q, Q[:, :, :4]), {}, "[1, 4, 4, 64]"),
    "parameter missing": (WINDOW, (Q, Q, Q), {}, "`W` is missing"),
    "unknown argument": (CAUSAL, (Q, Q, Q), {"W": 3}, "W"),
}


@pytest.mark.parametrize(("variant", "args", "options", "says"), REFERENCES.values(), ids=list(REFERENCES))
def test_the_oracle_refuses_too(variant: ag.AttentionSpec, args: Any, options: Any, says: str) -> None:
    assert isinstance(refused(lambda: ag.reference(variant, *args, **options), says), CallError)
