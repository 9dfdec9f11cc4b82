"""What each limit of a device would take for a call if it were the only one: no prediction is below any of them."""

from __future__ import annotations

from attngen.planner.candidates import Candidate
from attngen.planner.cost import dram_bytes, memory_us
from attngen.planner.pipes import forward_tile
from attngen.planner.problem import Problem
from attngen.planner.waves import Work
from attngen.targets.target import Target


def floors_us(candidate: Candidate, problem: Problem, target: Target, work: Work) -> tuple[tuple[str, float], ...]:
    """Microseconds of the call on each pipe alone, were ``work`` shared evenly by all multiprocessors; DRAM last."""
    tile = forward_tile(candidate, problem, target, work.blocks)
    masked = sum(work.masked) * work.times
    visited = sum(work.full) * work.times + masked
    a_us = target.num_sms * target.load_clock_mhz
    more = {"issue": tile.masking * masked}
    pipes = ((name, (cycles * visited + more.get(name, 0.0)) / a_us) for name, cycles in tile.pipes)
    return (*pipes, ("dram", memory_us(dram_bytes(problem), target)))
