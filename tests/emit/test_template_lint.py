"""Templates hold no policy: they substitute, loop over and test ready-made values, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import jinja2
import pytest
from jinja2 import nodes

from attngen.emit.environment import template_root

FILTERS = {"indent", "join", "trim"}
BANNED = (
    nodes.Compare, nodes.BinExpr, nodes.CondExpr, nodes.Assign, nodes.AssignBlock, nodes.Test, nodes.Getitem,
    nodes.Filter, nodes.Not,
)  # fmt: skip
TEMPLATES = sorted(template_root().rglob("*.j2"))


def findings(source: str) -> Iterator[tuple[int, str]]:
    """(line, what) of everything that decides something."""
    tree = jinja2.Environment().parse(source)
    for node in tree.find_all(BANNED):
        if isinstance(node, nodes.Filter):
            if node.name not in FILTERS:
                yield node.lineno, f"filter {node.name}"
        elif not isinstance(node, (nodes.And, nodes.Or)):  # `if a and b` is only a test of two values
            yield node.lineno, type(node).__name__
    for call in tree.find_all(nodes.Call):
        # macro calls take names and texts; an expression as argument once produced wrong addresses
        for argument in call.args:
            if not isinstance(argument, (nodes.Name, nodes.Const)):
                yield call.lineno, f"argument {type(argument).__name__}"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_holds_no_policy(path: object) -> None:
    assert list(findings(path.read_text())) == []  # type: ignore[attr-defined]


def test_there_are_templates() -> None:
    assert any(path.name == "forward.py.j2" for path in TEMPLATES)


@pytest.mark.parametrize(
    "bad",
    [
        "{% if a == 1 %}x{% endif %}",
        "{{ a + 1 }}",
        "{% set x = 1 %}",
        "{{ x[0] }}",
        "{{ x | upper }}",
        "{{ 1 if a else 2 }}",
        "{{ macro(a + b) }}",
        "{% if x is defined %}{% endif %}",
        "{% if not a %}{% endif %}",
    ],
)
def test_lint_sees(bad: str) -> None:
    assert list(findings(bad))


def test_undefined_names_are_errors() -> None:
    from attngen.emit.environment import environment

    with pytest.raises(jinja2.UndefinedError):
        environment("triton").from_string("{{ view.nothing }}").render(view=object())
