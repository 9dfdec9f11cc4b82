"""Configurations of a kernel at one shape, whatever runs it: emitted here, described as jobs of another process."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attngen
from attngen import pipeline
from attngen.pipeline import Generated
from attngen.planner.problem import Problem
from attngen.records.row import Configuration, Subject
from attngen.runtime.launch import Attention
from attngen.runtime.request import Emitted
from attngen.runtime.tensors import Checker, Sizes, torch_dtype, torch_tensors
from attngen.sample import Sizes as SampleSizes
from attngen.sample import sample
from attngen.targets.cpu import CoreRates
from attngen.tune.files import Files
from attngen.tune.inputs import Inputs
from attngen.tune.space import Choice, Space
from attngen.tune.yardstick import Yardstick

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


class Kernels(ABC):
    """The configurations of one variant at one shape. ``folder`` holds the tensors.

    ``target``: what `pipeline.generate` is asked for; ``arch`` and ``device``: what the store knows it by. ``few``:
    the kernel for few queries is meant. ``backend``: what `Attention` would run it with.
    """

    backend = ""

    def __init__(
        self,
        spec: AttentionSpec,
        target: str,
        arch: str,
        device: str,
        dtype: str,
        shape: Shape,
        folder: Path,
        *,
        few: bool,
        values: Mapping[str, Any] | None = None,
        rates: CoreRates | None = None,
    ) -> None:
        self.spec, self.dtype, self.shape, self.folder = spec, dtype, shape, folder
        self._target, self._rates, self._few = target, rates, few
        self._params, self._tensors = _checked(spec, shape, values or {})
        self._made: dict[Choice, Generated] = {}
        self._kept: list[Emitted] = []
        self.subject = Subject(
            spec=spec.fingerprint,
            name=spec.name,
            dtype=dtype,
            target=arch,
            device=device,
            batch=shape.batch,
            seqlen_q=shape.queries,
            seqlen_kv=shape.keys,
        )

    @property
    @abstractmethod
    def space(self) -> Space: ...

    @abstractmethod
    def compiler(self) -> tuple[str, str]:
        """What compiles, and further versions that a time depends on."""

    @property
    def problem(self) -> Problem:
        """What the planner is asked, at the lengths of the call."""
        problem = pipeline.problem_of(self.spec, self.dtype, self.shape.queries, self.shape.keys)
        return replace(problem, batch=self.shape.batch)

    def configuration(self, choice: Choice) -> Configuration:
        """What a row of the store says of a choice. PlanError where it cannot be emitted."""
        made = self.emitted(choice)
        compiler, others = self.compiler()
        return Configuration(
            plan=dict(choice),
            source=hashlib.sha256(made.text.encode()).hexdigest(),
            compiler=compiler,
            versions=f"attngen {attngen.__version__}, torch {version_of('torch')}{others}{self._data}",
            predicted_us=self.space.predicted_us.get(choice, 0.0),
        )

    @cached_property
    def _data(self) -> str:
        """What a time depends on beside lengths: parameters that were passed, and tensors that are not made up here."""
        import torch

        here, kept = torch.device("cpu"), self._attention.variant.kept
        captured = {name: kept.on(name, here) for name in self.spec.captured}
        words = {name: _digest(x) for name, x in {**captured, **self._tensors}.items()} | self._params
        return "".join(f"; {name}={value}" for name, value in sorted(words.items()))

    def emitted(self, choice: Choice) -> Generated:
        if choice not in self._made:
            self._made[choice] = self.generate(dict(choice))
        return self._made[choice]

    def generate(self, plan: dict[str, int] | None) -> Generated:
        """The kernel of some fields of a plan; of none, what a compiler without measurements takes."""
        few = 1 if self._few else None
        return pipeline.generate(self.spec, self._target, dtype=self.dtype, plan=plan, seqlen_q=few, rates=self._rates)

    def kept(self, choice: Choice) -> Emitted:
        """The kernel as a launcher knows it; lists of tiles are known by its identity."""
        made = self.emitted(choice)
        self._kept.append(Emitted(made.text, made.plan, made.schedule, made.interface))
        return self._kept[-1]

    @cached_property
    def _attention(self) -> Attention:
        def refuse(request: object) -> Emitted:
            raise AssertionError("nothing is run in this process")

        return Attention(self.spec, refuse, backend=self.backend, target=self._target)

    @cached_property
    def _files(self) -> Files:
        return Files(self.folder)

    @cached_property
    def _case(self) -> Case:
        from attngen.checking.inputs import build

        shape = self.shape
        queries = min(shape.queries, SMALL)
        keys = min(shape.keys, SMALL_DECODE if self.subject.decode else SMALL)
        values = {name: value for name, value in self._params.items() if isinstance(value, float)}
        return build(self.spec, min(shape.batch, 2), queries, keys, self.dtype, values=values)

    @cached_property
    def small(self) -> Inputs:
        case = self._case
        return Inputs(self._attention, self._files, (case.q, case.k, case.v), case.values)

    @cached_property
    def large(self) -> Inputs:
        import torch

        shape = self.shape
        drawn = sample(self.spec.definition, SampleSizes(shape.batch, shape.queries, shape.keys), self._params)
        qkv = tuple(torch.from_numpy(x).to(torch_dtype(self.dtype)) for x in (drawn.q, drawn.k, drawn.v))
        named = torch_tensors(self.spec.definition.tensors, drawn.tensors)
        return Inputs(self._attention, self._files, qkv, {**named, **drawn.params, **self._tensors})

    @cached_property
    def yardstick(self) -> Yardstick:
        return Yardstick(self.spec, self._case, self.large.data[2], self.folder)


def _checked(spec: AttentionSpec, shape: Shape, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters, and tensors on the CPU. CallError where a call of the shape would not take them."""
    check, definition = Checker(spec.name, spec.definition), spec.definition
    check.only_known(values)
    sizes = Sizes(shape.batch, shape.queries, shape.keys)
    refs = [ref for ref in definition.tensors if ref.name in values]
    for ref in refs:
        check.tensor(ref, values[ref.name], sizes, getattr(values[ref.name], "device", None))
    params = {param.name: values[param.name] for param in definition.params if param.name in values}
    return params, {ref.name: values[ref.name].detach().cpu() for ref in refs}


def _digest(tensor: Any) -> str:
    import torch

    content = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.sha256(content).hexdigest()[:16]


def version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
