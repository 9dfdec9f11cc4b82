"""Loops of small control flows that are drawn by hand."""

from __future__ import annotations

from attngen.machine_code.flow import natural_loops
from attngen.machine_code.instruction import Category, Instruction, Pipe


def code(*rows: str) -> list[Instruction]:
    """``"a"`` goes on, ``"a -> 3"`` jumps, ``"a ?-> 3"`` may jump, ``"end"`` stops."""
    made = []
    for row in rows:
        op, arrow, place = row.partition("->")
        jump = int(place) if arrow else None
        falls = row != "end" and (not arrow or op.endswith("?"))
        made.append(Instruction(op.strip(" ?"), "", Category.INTEGER, Pipe.ALU, jump=jump, falls=falls))
    return made


def bodies(*rows: str) -> list[tuple[int, ...]]:
    return [loop.body for loop in natural_loops(code(*rows))]


def test_nothing_has_no_loop() -> None:
    assert natural_loops([]) == ()
    assert bodies("a", "b ?-> 3", "c", "end") == []


def test_a_loop_and_its_body() -> None:
    assert bodies("before", "head", "work", "back ?-> 1", "end") == [(1, 2, 3)]


def test_a_branch_inside_belongs_to_the_loop() -> None:
    assert bodies("before", "head ?-> 3", "then", "join", "back ?-> 1", "end") == [(1, 2, 3, 4)]


def test_nested_loops_know_their_depth() -> None:
    loops = natural_loops(code("outer", "inner", "back ?-> 1", "back ?-> 0", "end"))
    assert [(loop.body, loop.depth) for loop in loops] == [((0, 1, 2, 3), 0), ((1, 2), 1)]


def test_a_spin_wait_out_of_line_makes_no_loop_of_the_straight_line() -> None:
    # 1 tests a barrier and goes to 4 when it is not ready; 4 spins and jumps back to 2
    loops = natural_loops(code("start", "test ?-> 4", "ready", "end", "spin ?-> 4", "found -> 2"))
    assert [loop.body for loop in loops] == [(4,)]


def test_a_spin_wait_of_a_loop_is_left_out_of_its_body() -> None:
    loops = natural_loops(code("start", "head ?-> 5", "work", "back ?-> 1", "end", "spin ?-> 5", "found -> 2"))
    assert [loop.body for loop in loops] == [(1, 2, 3), (5,)]


def test_unreachable_code_changes_nothing() -> None:
    assert bodies("a", "go -> 3", "dead -> 0", "head", "back ?-> 3", "end") == [(3, 4)]


def test_a_rotated_loop_is_whole() -> None:
    # entered in its middle: the header is 3, and control falls into it from the part that lies before
    assert bodies("enter -> 3", "before", "more -> 3", "head ?-> 1", "end") == [(1, 2, 3)]


def test_two_ways_back_are_one_loop() -> None:
    assert bodies("head", "a ?-> 0", "b", "c ?-> 0", "end") == [(0, 1, 2, 3)]
