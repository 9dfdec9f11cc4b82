"""What is claimed of an emitted kernel, and the search for a counterexample.

For all lengths, parameters, data, query tiles, rows and keys at once:

* visits: every kept pair lies in a tile that some loop visits;
* full: a tile of a loop without the mask is kept whole, and has no key beyond the last;
* keep: in a loop with the mask, the printed condition is the mask (and the key exists);
* once: no tile is visited twice;
* inside: no tile starts before the first key, or between two tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import z3

from attngen.emit.names import kernel_name
from attngen.expr.op import Expr, Op, leaves, tensors
from attngen.tiling.schedule import Schedule
from tests.proofs.meaning import meaning
from tests.proofs.tensors import LENGTHS, segment_facts, shape_facts
from tests.proofs.text import At, Kernel, Loop, Unreadable

STEPS = 20_000_000
"""What z3 may spend on one proof, in its own units: a busy machine fails no proof."""


@dataclass(frozen=True)
class Refuted:
    """A claim that does not hold, with a counterexample; without numbers, z3 found no answer in time."""

    claim: str
    numbers: Mapping[str, int]

    def __str__(self) -> str:
        if not self.numbers:
            return f"{self.claim}: timeout, no answer in {STEPS:,} steps"
        m, n, q, kv = (self.numbers[name] for name in ("M", "N", "q", "kv"))
        more = [f"{name} = {value}" for name, value in self.numbers.items() if name not in ("M", "N", "q", "kv")]
        return f"{self.claim}: (M, N, q, kv) = ({m}, {n}, {q}, {kv})" + (f" with {', '.join(more)}" if more else "")


class Prover:
    """One emitted text against the mask that it is for."""

    def __init__(self, text: str, mask: Expr, schedule: Schedule, block_q: int, heads: int) -> None:
        self.mask, self.block_q = mask, block_q
        refs = tensors(mask, *(bound.expr for bound in schedule.bounds))
        refs += [source for ref in refs if ref.derived for source in ref.derived.sources if source not in refs]
        self.kernel = Kernel(text, {kernel_name(ref.name): ref for ref in refs})
        self.row, self.column = z3.Int("row"), z3.Int("column")
        self.lane = At(row=self.row)
        symbols = self.kernel.symbols
        m, tiles = LENGTHS["M"], symbols["tiles"]
        self.given = [
            m >= 1,
            LENGTHS["N"] >= 0,
            LENGTHS["B"] >= 1,
            LENGTHS["H"] == heads,
            block_q * (tiles - 1) < m,
            m <= block_q * tiles,
            symbols["program_0"] >= 0,
            symbols["program_0"] < tiles,
            self.row >= 0,
            self.row < self.kernel.constants["BLOCK_M"],
            self.column >= 0,
            self.column < self.kernel.block_n,
            *(fact for ref in refs for fact in shape_facts(ref)),
            *self.kernel.checked_sizes(),
        ]
        read = self.kernel.before_loops
        self.point = {"b": read("batch", self.lane), "h": read("head", self.lane), "q": read("offs_m", self.lane)}
        self.exists = z3.And(
            read("in_m", self.lane),
            *(z3.And(self.point[i] >= 0, self.point[i] < LENGTHS[i.upper()]) for i in ("b", "h")),
        )

    def refutations(self) -> list[Refuted]:
        """One counterexample a claim that does not hold; [] is a proof."""
        claims: Mapping[str, Callable[[], Iterator[tuple[Any, Any]]]] = {
            "visits": self._visits,
            "full": self._full,
            "keep": self._keep,
            "once": self._once,
            "inside": self._inside,
        }
        found = []
        for name, wrong in claims.items():
            for key, condition in wrong():
                refuted = self._search(name, key, condition)
                if refuted is not None:
                    found.append(refuted)
                    break
        return found

    # each yields (key, condition that would be a counterexample)

    def _visits(self) -> Iterator[tuple[Any, Any]]:
        key = z3.Int("kv")
        start = key / self.kernel.block_n * self.kernel.block_n
        missed = [z3.Not(self._reaches(loop, start)) for loop in self.kernel.loops]
        yield key, z3.And(self.exists, self._kept(key), *missed)

    def _full(self) -> Iterator[tuple[Any, Any]]:
        for loop in self.kernel.loops:
            if not loop.masked:
                in_range, start = self._turn(loop, "turn")
                key = start + self.column
                yield key, z3.And(self.exists, in_range, z3.Not(self._kept(key)))

    def _keep(self) -> Iterator[tuple[Any, Any]]:
        for loop in self.kernel.loops:
            if loop.masked:
                in_range, start = self._turn(loop, "turn")
                key = start + self.column
                at = At(self.row, self.column, z3.Int("turn"))
                printed = self.kernel.in_loop(loop, "keep", at)
                yield key, z3.And(self.exists, in_range, printed != self._kept(key))

    def _once(self) -> Iterator[tuple[Any, Any]]:
        turns = z3.Int("turn"), z3.Int("other_turn")
        for i, loop in enumerate(self.kernel.loops):
            for other in self.kernel.loops[i:]:
                (here, start), (there, again) = self._turn(loop, "turn"), self._turn(other, "other_turn")
                different = turns[0] != turns[1] if other is loop else z3.BoolVal(True)
                yield start, z3.And(here, there, different, start == again)

    def _inside(self) -> Iterator[tuple[Any, Any]]:
        for loop in self.kernel.loops:
            in_range, start = self._turn(loop, "turn")
            yield start, z3.And(in_range, z3.Or(start < 0, start % self.kernel.block_n != 0))

    def _kept(self, key: Any) -> Any:
        return z3.And(key >= 0, key < LENGTHS["N"], meaning(self.mask, {**self.point, "kv": key}))

    def _turn(self, loop: Loop, name: str) -> tuple[Any, Any]:
        """(is the turn one of the loop's, first key of its tile)."""
        turn = z3.Int(name)
        low, high, step = self.kernel.turn_range(loop)
        on_step = (turn - low) % step == 0 if step != 1 else z3.BoolVal(True)
        return z3.And(low <= turn, turn < high, on_step), self.kernel.in_loop(loop, "start", At(turn=turn))

    def _reaches(self, loop: Loop, start: Any) -> Any:
        """Does some turn of the loop begin at this key? The printed text is solved for the turn, piece by piece."""
        turn = z3.Int("turn")
        in_range, value = self._turn(loop, "turn")
        ways = []
        for condition, piece in _pieces(value, turn):
            offset, factor = _linear(piece, turn)
            solved = (start - offset) / factor
            at = z3.substitute(z3.And(in_range, condition), (turn, solved))
            ways.append(z3.And(factor * solved + offset == start, at))
        return z3.Or(*ways)

    # search

    def anything_kept(self) -> bool:
        """Is there a case in which what is assumed holds and a pair is kept? Otherwise every proof would be empty."""
        key = z3.Int("kv")
        return self._solver(key, z3.And(self.exists, self._kept(key))).check() == z3.sat

    def _search(self, claim: str, key: Any, condition: Any) -> Refuted | None:
        solver = self._solver(key, condition)
        answer = solver.check()
        if answer == z3.unsat:
            return None
        return Refuted(claim, self._numbers(solver.model(), key) if answer == z3.sat else {})

    def _solver(self, key: Any, condition: Any) -> Any:
        # quotients become numbers with two inequalities each: what takes minutes otherwise takes hundredths of a second
        solver = z3.Then("simplify", "purify-arith", "propagate-values", "solve-eqs", "smt").solver()
        solver.set("rlimit", STEPS)
        kernel = self.kernel
        about = [self.lane, *(At(row=z3.Int(f"row_of_{kind}_{i}")) for i, (kind, _, _) in enumerate(kernel.bounded))]
        reduced = [fact for at in about for fact in kernel.bounds_of(at)]
        contracts = [fact for ref, at in kernel.documents.values() for fact in segment_facts(ref, at, key)]
        solver.add(*self.given, *kernel.facts, *reduced, *contracts, condition)
        return solver

    def _numbers(self, model: Any, key: Any) -> dict[str, int]:
        def value(term: Any) -> int:
            return int(model.eval(term, model_completion=True).as_long())

        lengths = {"M": value(LENGTHS["M"]), "N": value(LENGTHS["N"])}
        params = {leaf.value.name: value(z3.Int(leaf.value.name)) for leaf in leaves(self.mask, Op.PARAM)}
        indices = {name: value(self.point[name]) for name in ("b", "h")}
        return {**lengths, "q": value(self.point["q"]), "kv": value(key), **params, **indices}


def _pieces(value: Any, turn: Any, when: Any = None) -> Iterator[tuple[Any, Any]]:
    """(condition, value) for each choice that depends on the turn."""
    when = z3.BoolVal(True) if when is None else when
    choice = _choice(value, turn)
    if choice is None:
        yield when, value
        return
    condition, yes, no = choice.children()
    yield from _pieces(z3.substitute(value, (choice, yes)), turn, z3.And(when, condition))
    yield from _pieces(z3.substitute(value, (choice, no)), turn, z3.And(when, z3.Not(condition)))


def _choice(value: Any, turn: Any) -> Any:
    if z3.is_app_of(value, z3.Z3_OP_ITE) and _mentions(value.arg(0), turn):
        return value
    return next((found for arg in value.children() if (found := _choice(arg, turn)) is not None), None)


def _mentions(term: Any, name: Any) -> bool:
    return bool(term.eq(name)) or any(_mentions(arg, name) for arg in term.children())


def _linear(value: Any, turn: Any) -> tuple[Any, int]:
    """(offset, factor) of offset + factor * turn."""
    offset = z3.substitute(value, (turn, z3.IntVal(0)))
    factor = z3.simplify(z3.substitute(value, (turn, z3.IntVal(1))) - offset, som=True)
    if not z3.is_int_value(factor) or factor.as_long() <= 0:
        raise Unreadable(f"tiles advance by {factor}")
    rest = z3.simplify(value - offset - factor * turn, som=True)
    if not (z3.is_int_value(rest) and rest.as_long() == 0):
        raise Unreadable(f"the tile of a turn is not linear in it: {value}")
    return offset, factor.as_long()
