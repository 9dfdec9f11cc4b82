"""What a user may name and write cannot leave its place in an emitted file."""

from __future__ import annotations

import ast
import io
import tokenize
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attngen as ag
from tests.refuse.expressions import TOUCH

HOSTILE = {
    "closes the docstring": '""" + __import__("os").system("touch executed") + """',
    "closes it on a line": '"""\nimport os\nos.system("touch executed")\n"""',
    "single quotes": "'''\nimport os\n'''",
    "a backslash at the end": "x \\",
    "three backslashes": 'x \\\\\\"""',
    "a quote at the end": 'x "',
    "two quotes at the end": 'x ""',
    "quotes after a backslash": '\\""" + 1',
    "jinja": "{{ cycler.__init__.__globals__.os.popen('touch executed').read() }}",
    "a jinja statement": "{% for x in range(10) %}import os{% endfor %}",
    "a jinja comment": "{# x #}",
    "code": TOUCH,
    "a comment": "# import os",
    "a new line": "x\nimport os",
    "a carriage return": "x\rimport os",
    "a form feed": "x\fimport os",
    "a line separator": "x\u2028import os",
    "a paragraph separator": "x\u2029import os",
    "next line": "x\x85import os",
    "null": "x\x00y",
    "an escape sequence": "x\x1b[31m",
    "right to left": "x\u202ey",
    "escapes": "\\x22\\x22\\x22 \\N{QUOTATION MARK} \\u0022",
    "an encoding": "-*- coding: utf-7 -*-",
    "a percent sign": "%s %(x)s",
    "braces": "{0} {x!r}",
    "a type comment": "# type: ignore",
    "many quotes": '"' * 999,
    "many backslashes": "\\" * 999,
    "a surrogate": "x\ud800y",
}


def emitted(doc: str = "", command: str = "", **options: object) -> str:
    return ag.generate(ag.AttentionSpec("x", 2, 16, doc=doc, **options), command=command).text


def structure(source: str) -> str:
    """The syntax tree without the module's docstring."""
    tree = ast.parse(source.encode())
    assert isinstance(tree.body[0], ast.Expr)
    assert ast.get_docstring(tree) is not None
    return ast.dump(ast.Module(tree.body[1:], []))


BENIGN = structure(emitted())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_a_text_stays_in_the_docstring(text: str) -> None:
    source = emitted(text, command=text)
    assert structure(source) == BENIGN
    assert "49" not in ast.get_docstring(ast.parse(source)), "a template was rendered"
    assert all(c.isprintable() or c == "\n" for c in source)


@settings(max_examples=40)
@given(st.text(alphabet=st.one_of(st.sampled_from("\"'\\\n\r\t#{}%x "), st.characters()), max_size=200))
def test_any_doc_stays_in_the_docstring(doc: str) -> None:
    assert structure(emitted(doc)) == BENIGN


NAMES = """
acc keep tl_ exit print os open _ __x M_ Q K step BLOCK_M attention_ prepare floor_div range int len exec eval
self_ a_size_0 kernel_ grid
""".split()


def kinds(source: str) -> list[str]:
    return sorted(type(node).__name__ for node in ast.walk(ast.parse(source)))


@pytest.mark.parametrize("name", [*NAMES, "W" * 64])
def test_a_legal_name_is_a_name_and_nothing_else(name: str) -> None:
    """The file with this name is the file with another one of its length, renamed."""
    try:
        found = with_name(name)
    except ag.AttngenError as refusal:
        error = refusal
    else:
        # a name that the kernel uses itself gets a suffix
        assert found in [with_name("z" * len(name)), with_name("z" * min(len(name) + 1, 64))]
        return
    assert "meaning already" in error.what


@cache
def with_name(name: str) -> list[str]:
    """What the syntax trees of a file with such a parameter and of one with such a tensor are made of."""
    return kinds(emitted(mask=f"kv <= q + {name}", params={name: "int32"})) + kinds(
        emitted(score=f"score + {name}[h]", tensors={name: (("H",), "fp32")})
    )


@pytest.mark.parametrize("mask", ["document(ids=[0, 0, 1])", "kv <= q & document(ids=ids)"])
def test_strings_of_a_mask_are_no_strings_of_the_file(mask: str) -> None:
    tensors = {"ids": (("N",), "int32")} if "=ids" in mask else {}
    source = emitted(mask=mask, tensors=tensors)
    strings = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.STRING]
    assert all(mask not in t.string for t in strings[1:])
