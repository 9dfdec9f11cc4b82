"""Plan choices that a person writes: ``--plan block_m=64,num_warps=4``."""

from __future__ import annotations

from collections.abc import Mapping

from attngen.errors import PlanError, did_you_mean

_FLAGS = ("descriptors",)
GPU_CHOICES = ("block_m", "block_n", "num_warps", "num_stages", "pack", *_FLAGS)
CPU_CHOICES = ("q_tiles", "block_m", "block_n", "micro_m", "micro_n", "micro_d", "split_keys", "prefetch")
_MAY_BE_ZERO = (*_FLAGS, "prefetch")
_CHOICES = tuple(dict.fromkeys(GPU_CHOICES + CPU_CHOICES))
_FLAG_WORDS = {"1": 1, "true": 1, "yes": 1, "0": 0, "false": 0, "no": 0}


def parse_plan_overrides(text: str, option: str = "--plan") -> dict[str, int]:
    """The fixed fields of a plan, for `choose_plan`'s ``fixed``. An empty text fixes nothing.

    Only the form is checked here; whether the sizes fit is for `judge` to say, with the target at hand.
    """
    fixed: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, word = (piece.strip() for piece in part.partition("="))
        place = f"{option} `{part}`"
        if name not in _CHOICES:
            raise PlanError(f"unknown field `{name}`", place=place, remedy=did_you_mean(name, _CHOICES))
        if not equals or not word:
            raise PlanError(f"`{name}` has no value", place=place, remedy=f"{name}=<number>")
        if name in fixed:
            raise PlanError(f"`{name}` is given twice", place=place, remedy="give it once")
        fixed[name] = _flag(word, place) if name in _FLAGS else _size(word, place, least=int(name not in _MAY_BE_ZERO))
    return fixed


def _size(word: str, place: str, least: int) -> int:
    if not word.isascii() or not word.isdigit() or len(word) > 9 or int(word) < least:
        raise PlanError(f"`{word}` is no positive number", place=place, remedy="for example block_m=64")
    return int(word)


def _flag(word: str, place: str) -> int:
    if word.lower() not in _FLAG_WORDS:
        raise PlanError(f"`{word}` is neither true nor false", place=place, remedy="descriptors=true or =false")
    return _FLAG_WORDS[word.lower()]


def checked_overrides(fixed: object, choices: tuple[str, ...] = _CHOICES) -> dict[str, int] | None:
    """The fixed fields of a plan as a program gives them: a mapping of names to positive integers, or None.

    ``choices``: the names that there are; those of every target when it is not known yet.
    """
    if fixed is None:
        return None
    if not isinstance(fixed, Mapping):
        raise PlanError(
            f"a {type(fixed).__name__} is no plan", place="plan", remedy='give a Plan, or fields: {"block_m": 64}'
        )
    for name, value in fixed.items():
        place = f"plan[{name!r}]"
        if name not in choices:
            raise PlanError(f"unknown field `{name}`", place=place, remedy=did_you_mean(str(name), choices))
        if not isinstance(value, int) or not (0 if name in _MAY_BE_ZERO else 1) <= value < 10**9:
            raise PlanError(f"{value!r} is no size", place=place, remedy="use a positive integer")
    return dict(fixed)
