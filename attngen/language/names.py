"""Which names a spec may give: to itself, its parameters and its tensors."""

from __future__ import annotations

import keyword
import re
from collections.abc import Container

from attngen.errors import SpecError

_LONGEST = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# what an emitted file, its launcher or the language itself calls something else
_WORDS = """
b h q kv k v o B H Hkv M N D score scale sm_scale out lse return_lse attention kernel stream device dtype plan target
backend self tl triton torch math true false inf nan and or not where size
"""
RESERVED = frozenset(_WORDS.split())


def check_spec_name(name: object) -> str:
    if not isinstance(name, str) or len(name) > _LONGEST or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise SpecError(
            f"{name!r} cannot name a spec",
            place="name",
            remedy=f"letters, digits and _, not starting with a digit, at most {_LONGEST} characters",
        )
    return name


def check_argument_name(name: object, place: str) -> str:
    """The name of a parameter or tensor becomes an argument of the emitted function."""
    if not isinstance(name, str) or len(name) > _LONGEST or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise SpecError(
            f"{name!r} cannot name an argument",
            place=place,
            remedy=f"use a Python identifier of at most {_LONGEST} characters that is no keyword",
        )
    if name in RESERVED or name.startswith("__"):
        raise SpecError(
            f"`{name}` has a meaning already", place=place, remedy=f"choose another name, such as `{name.strip('_')}_`"
        )
    return name


def unique_name(hint: str, taken: Container[str]) -> str:
    """A legal argument name near the hint: bias, bias_1, bias_2, ..."""
    clean = re.sub(r"\W", "_", hint).strip("_")[: _LONGEST - 8] or "captured"
    if clean[0].isdigit() or keyword.iskeyword(clean) or clean in RESERVED or not clean.isascii():
        clean = f"captured_{clean}" if clean.isascii() else "captured"
    name, count = clean, 0
    while name in taken:
        count += 1
        name = f"{clean}_{count}"
    return name
