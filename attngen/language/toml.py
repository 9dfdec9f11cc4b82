"""A spec as a TOML file, for the command line: ``load`` and ``dump``. A spec and its file have one fingerprint."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attngen.errors import SpecError, did_you_mean
from attngen.language.spec import AttentionSpec
from attngen.language.term import Mask, Score, SigmoidTerm

LARGEST_FILE = 1 << 20
KEYS = ("name", "doc", "head_dim", "dtype", "tf32", "mask", "score", "scale", "normalizer", "sink")
TABLES = ("heads", "blocks", "params", "tensors")


def load(source: str | os.PathLike[str]) -> AttentionSpec:
    """The spec of a file, or of TOML text (a string with a line break or an ``=``)."""
    if isinstance(source, str) and ("\n" in source or "=" in source):
        return loads(source)
    path = Path(source)
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SpecError("is no regular file", place=str(path), remedy="give the path of a TOML file")
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise SpecError(f"cannot be read: {why}", place=str(path), remedy="give the path of a TOML file") from None
    if len(data) > LARGEST_FILE:
        raise SpecError(
            "larger than 1 MiB", place=str(path), remedy="declare tensors instead of writing out long lists"
        )
    try:
        return loads(data.decode("utf-8-sig"), place=str(path))
    except UnicodeDecodeError as error:
        raise SpecError(f"not UTF-8 (byte {error.start})", place=str(path), remedy="save the file as UTF-8") from None


def _at_once(path: str, flags: int) -> int:
    """A pipe that nobody writes to is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def loads(text: str, place: str = "") -> AttentionSpec:
    """The spec of TOML text; ``place`` (the file) is put before the place of an error."""
    try:
        return _spec(_table(text))
    except SpecError as error:
        if not place:
            raise
        inner = f"{place}, {error.place}" if error.place else place
        raise type(error)(error.what, place=inner, remedy=error.remedy) from error.__cause__


def _table(text: str) -> dict[str, Any]:
    if len(text) > LARGEST_FILE:
        raise SpecError("larger than 1 MiB", remedy="declare tensors instead of writing out long lists")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"not TOML: {error}", remedy="strings stand in quotes; a table starts with [name]") from None
    except (RecursionError, ValueError) as error:
        raise SpecError(
            f"not TOML that can be read: {error}", remedy="nest less deeply, and use smaller numbers"
        ) from None


def _spec(table: dict[str, Any]) -> AttentionSpec:
    for key in table:
        if key not in KEYS and key not in TABLES:
            raise SpecError(f"unknown key `{key}`", remedy=did_you_mean(key, [*KEYS, *TABLES]))
    for key in ("name", "heads", "head_dim"):
        if key not in table:
            remedy = {"name": 'name = "my_attention"', "heads": "[heads] with q and kv", "head_dim": "head_dim = 128"}
            raise SpecError(f"the key `{key}` is missing", remedy=f"add {remedy[key]}")
    for key in TABLES[1:]:
        if not isinstance(table.get(key, {}), dict):
            raise SpecError(f"{table[key]!r} is no table", place=key, remedy=f"write [{key}]")
    for key in ("mask", "normalizer"):
        _expect(table, key, str, "text in quotes")
    _expect(table, "sink", str, '"off_by_one" or the name of a declared tensor')
    score = table.get("score")
    if isinstance(score, list):
        for i, step in enumerate(score):
            if not isinstance(step, str):
                raise SpecError(f"{step!r} is no text", place=f"score[{i}]", remedy="write each step as text in quotes")
    else:
        _expect(table, "score", str, "text in quotes, or a list of them")
    return AttentionSpec(**table)


def _expect(table: Mapping[str, Any], key: str, kind: type, form: str) -> None:
    if key in table and not isinstance(table[key], kind):
        raise SpecError(f"{table[key]!r} is no text", place=key, remedy=f"write {form}")


def dump(spec: AttentionSpec) -> str:
    """The TOML text of a spec. One with callables or captured tensors has none: that is an error."""
    lines = [f"name = {_string(spec.name)}"]
    if spec.doc:
        lines.append(f"doc = {_string(spec.doc)}")
    dim = spec.head_dim
    lines.append(f"head_dim = {dim.qk}" if dim.qk == dim.v else f"head_dim = {{ qk = {dim.qk}, v = {dim.v} }}")
    if spec.dtype is not None:
        lines.append(f"dtype = {_string(spec.dtype)}")
    if spec.tf32:
        lines.append("tf32 = true")
    if spec.mask is not None:
        lines.append(f"mask = {_string(_text(spec.mask, 'mask'))}")
    if spec.score is not None:
        steps = spec.score if isinstance(spec.score, tuple) else (spec.score,)
        texts = [_string(_text(step, "score")) for step in steps]
        lines.append(f"score = {texts[0]}" if len(texts) == 1 else f"score = [{', '.join(texts)}]")
    if spec.scale is not None:
        lines.append(f"scale = {_string(spec.scale) if isinstance(spec.scale, str) else repr(float(spec.scale))}")
    if spec.normalizer != "softmax":
        lines.append(f"normalizer = {_string(_text(spec.normalizer, 'normalizer'))}")
    if spec.sink is not None:
        if not isinstance(spec.sink, str):
            raise _no_text("sink")
        lines.append(f"sink = {_string(spec.sink)}")
    lines += ["", "[heads]", f"q = {spec.heads.q}", f"kv = {spec.heads.kv}"]
    if spec.blocks is not None:
        sizes = [(name, size) for name, size in (("q", spec.blocks.q), ("kv", spec.blocks.kv)) if size is not None]
        lines += ["", "[blocks]", *(f"{name} = {size}" for name, size in sizes)]
    if spec.params:
        lines += ["", "[params]", *(f"{name} = {_string(dtype)}" for name, dtype in spec.params.items())]
    if spec.tensors:
        lines += ["", "[tensors]"]
        for name, tensor in spec.tensors.items():
            shape = ", ".join(_string(size) if isinstance(size, str) else str(size) for size in tensor.shape)
            lines.append(f"{name} = {{ shape = [{shape}], dtype = {_string(tensor.dtype)} }}")
    return "\n".join(lines) + "\n"


def _text(value: Any, place: str) -> str:
    text = value.text if isinstance(value, (Mask, Score, SigmoidTerm)) else value
    if not isinstance(text, str):
        raise _no_text(place)
    return text


def _no_text(place: str) -> SpecError:
    return SpecError(
        "a callable or captured tensor has no form in TOML",
        place=place,
        remedy="use vocabulary or an expression string, and declare the tensor in `tensors`",
    )


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}


def _string(text: str) -> str:
    """A basic TOML string."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _unicode(c)) for c in text) + '"'


def _unicode(char: str) -> str:
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        raise SpecError("a lone surrogate is no character", place="doc", remedy="remove it")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
