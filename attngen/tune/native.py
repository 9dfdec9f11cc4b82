"""Configurations of a native kernel at one shape: emitted here, described as jobs that another process can run."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attngen
from attngen import pipeline
from attngen.emit.cpu.interface import Interface, Meaning
from attngen.pipeline import Generated
from attngen.planner.cpu import CpuPlan
from attngen.records.row import Configuration, Subject
from attngen.runtime.launch import Attention
from attngen.runtime.native.compiler import find_compiler
from attngen.runtime.native.machine import processor
from attngen.runtime.native.probed import stored_rates
from attngen.runtime.native.way import DECODE_ROWS
from attngen.runtime.request import Emitted
from attngen.runtime.tensors import torch_dtype
from attngen.sample import Sizes as SampleSizes
from attngen.sample import sample
from attngen.targets.cpu import CpuTarget
from attngen.tune.files import Files
from attngen.tune.inputs import Inputs
from attngen.tune.space import Choice, Space, cpu_space

if TYPE_CHECKING:
    from attngen.checking.inputs import Case
    from attngen.language.spec import AttentionSpec

SMALL = 133
"""Rows and keys of the case that the oracle, which is dense, answers."""
SMALL_DECODE = 1500
"""Keys of that case for few queries: more than one split."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One call: batch, queries, keys."""

    batch: int
    queries: int
    keys: int

    def __str__(self) -> str:
        batch = f"{self.batch} x " if self.batch > 1 else ""
        return f"{batch}{self.queries:,}" + (f" x {self.keys:,}" if self.keys != self.queries else "")


class NativeKernels:
    """The configurations of one variant on this machine's CPU, at one shape. ``folder`` holds the tensors."""

    def __init__(
        self,
        spec: AttentionSpec,
        target: CpuTarget,
        dtype: str,
        shape: Shape,
        folder: Path,
        params: Mapping[str, int | float] | None = None,
    ) -> None:
        self.spec, self.target, self.dtype, self.shape, self.folder = spec, target, dtype, shape, folder
        self._params = dict(params or {})
        self._decode = shape.queries <= DECODE_ROWS
        self._made: dict[Choice, Generated] = {}
        self._kept: list[Emitted] = []
        self.subject = Subject(
            spec=spec.fingerprint,
            name=spec.name,
            dtype=dtype,
            target=target.arch,
            device=processor(),
            batch=shape.batch,
            seqlen_q=shape.queries,
            seqlen_kv=shape.keys,
        )

    @cached_property
    def space(self) -> Space:
        problem = pipeline.problem_of(self.spec, self.dtype, self.shape.queries, self.shape.keys)
        problem = replace(problem, batch=self.shape.batch)
        untuned = self._generate(None).plan
        assert isinstance(untuned, CpuPlan)
        return cpu_space(problem, self.target, untuned)

    def configuration(self, choice: Choice) -> Configuration:
        """What a row of the store says of a choice. PlanError where it cannot be emitted."""
        made = self.emitted(choice)
        values = "".join(f"; {name}={value}" for name, value in sorted(self._params.items()))
        return Configuration(
            plan=dict(choice),
            source=hashlib.sha256(made.text.encode()).hexdigest(),
            compiler=find_compiler().version,
            versions=f"attngen {attngen.__version__}, torch {_version('torch')}{values}",
            predicted_us=self.space.predicted_us.get(choice, 0.0),
        )

    def emitted(self, choice: Choice) -> Generated:
        if choice not in self._made:
            self._made[choice] = self._generate(dict(choice))
        return self._made[choice]

    def _generate(self, plan: dict[str, int] | None) -> Generated:
        return pipeline.generate(
            self.spec,
            self.target.arch,
            dtype=self.dtype,
            plan=plan,
            seqlen_q=1 if self._decode else None,
            rates=stored_rates(self.target),
        )

    def compile_job(self, choice: Choice) -> dict[str, Any]:
        return {
            "kind": "native",
            "name": self.spec.name,
            "source": self.emitted(choice).text,
            "target": self.target.arch,
        }

    def job(self, choice: Choice) -> dict[str, Any]:
        """Everything that checking and timing need, as plain data; tensors are files of ``folder``."""
        made = self.emitted(choice)
        assert made.interface is not None
        emitted = Emitted(made.text, made.plan, made.schedule, made.interface)
        self._kept.append(emitted)  # lists of tiles are known by its identity
        small, large = self._small, self._large
        return {
            **self.compile_job(choice),
            "entry": _entry(made.interface),
            "small": {**small.call(emitted), **self._expected},
            "large": {**large.call(emitted), "allowed": self._allowed},
            "baseline": str(self.folder / "untuned.npz"),
            "memory": 4 * sum(x.nbytes for x in large.data if x is not None),
        }

    @cached_property
    def _attention(self) -> Attention:
        def refuse(request: object) -> Emitted:
            raise AssertionError("nothing is run in this process")

        return Attention(self.spec, refuse, backend="cpu", target=self.target.arch)

    @cached_property
    def _files(self) -> Files:
        return Files(self.folder)

    @cached_property
    def _case(self) -> Case:
        from attngen.checking.inputs import build

        shape, decode = self.shape, self._decode
        queries = min(shape.queries, SMALL)
        keys = min(shape.keys, SMALL_DECODE if decode else SMALL)
        values = {name: value for name, value in self._params.items() if isinstance(value, float)}
        return build(self.spec, min(shape.batch, 2), queries, keys, self.dtype, values=values)

    @cached_property
    def _small(self) -> Inputs:
        case = self._case
        return Inputs(self._attention, self._files, (case.q, case.k, case.v), case.values)

    @cached_property
    def _large(self) -> Inputs:
        import torch

        shape = self.shape
        drawn = sample(self.spec.definition, SampleSizes(shape.batch, shape.queries, shape.keys), self._params)
        qkv = tuple(torch.from_numpy(x).to(torch_dtype(self.dtype)) for x in (drawn.q, drawn.k, drawn.v))
        refs = {ref.name: ref for ref in self.spec.definition.tensors}
        named = {name: torch.from_numpy(x).to(torch_dtype(refs[name].dtype)) for name, x in drawn.tensors.items()}
        return Inputs(self._attention, self._files, qkv, {**named, **drawn.params})

    @cached_property
    def _exact(self) -> Any:
        from attngen.checking.check import exact

        return exact(self.spec, self._case)

    @cached_property
    def _expected(self) -> dict[str, Any]:
        """The oracle's answer to the small case and plain PyTorch's, and what rounding may cost."""
        import numpy as np

        from attngen.checking.policy import noises, numpy64

        right, path = self._exact, self.folder / "exact.npz"
        lse = {} if right.lse is None else {"lse": right.lse, "plain_lse": numpy64(right.plain_lse)}
        np.savez(path, out=right.out, plain_out=numpy64(right.plain_out), **lse)
        return {
            "expected": {
                "file": str(path),
                "noises": noises(right.out, numpy64(self._case.v), right.score_noise, self.dtype),
            }
        }

    @cached_property
    def _allowed(self) -> dict[str, Any]:
        """How far two right results of the large case may be apart, before their own rounding noise is added."""
        import numpy as np

        from attngen.checking.policy import FACTORS, Error, numpy64

        right, factor, v = self._exact, FACTORS[self.dtype], numpy64(self._large.data[2])
        plain = Error.of(numpy64(right.plain_out), right.out)
        found = {
            "out": factor * plain.largest,
            "out_rms": factor * plain.rms,
            "scores": right.score_noise,
            "v_top": float(np.abs(v).max(initial=0.0)),
            "v_rms": float(np.sqrt(np.mean(v**2))),
        }
        if right.lse is not None:
            lse = Error.of(numpy64(right.plain_lse), right.lse)
            found |= {"lse": factor * lse.largest, "lse_rms": factor * lse.rms}
        return found


def _entry(interface: Interface) -> dict[str, Any]:
    shared = next((i for i, field in enumerate(interface.fields) if field.meaning is Meaning.SHARED), 0)
    return {"bytes": struct.calcsize(interface.format), "shared": shared, "split": interface.split}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
