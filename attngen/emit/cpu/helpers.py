"""The functions that an emitted C++ file needs: those that its text calls, and those that these call."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from math import factorial, log

from attngen.emit.environment import environment
from attngen.planner.cpu import CpuPlan

# In the order of the text: a function stands before those that call it.
_ORDER = (
    "larger", "smaller", "minimum", "maximum", "absolute", "to_real", "truncate", "floor_div", "floor_div_lanes",
    "floor_mod", "floor_mod_lanes", "sqrt", "rsqrt", "round_down", "round_up", "exp2_below", "exp2", "log2", "log",
    "turn", "sin", "cos", "erf", "spot", "gather", "transpose", "bf16_pair", "dot_pairs", "pair_lanes", "interleave",
    "load", "widened", "widened_halves", "load_bf16", "load_fp16", "load_some", "halves", "fold_larger",
    "fold_sum", "from_step",
)  # fmt: skip
_CALLED_AS = {
    "turn": {"turned_sin"},
    "spot": {"spot", "gather", "spread"},
    "log2": {"log2", "log_parts"},
    "floor_div": {"floor_div", "floor_mod"},
    "floor_div_lanes": {"floor_div", "floor_mod"},
    "floor_mod_lanes": {"floor_mod"},
    "interleave": {"interleave", "load_pairs"},
}
_TYPED = {"exp2_below", "exp2", "log2", "log", "turn", "sin", "cos", "erf"}
# scalar functions that are applied lane by lane: (of floats, of doubles)
_EACH = {
    "sqrt": ("__builtin_sqrtf(x)", "__builtin_sqrt(x)"),
    "rsqrt": ("1 / __builtin_sqrtf(x)", "1 / __builtin_sqrt(x)"),
    "round_down": ("__builtin_floorf(x)", "__builtin_floor(x)"),
    "round_up": ("__builtin_ceilf(x)", "__builtin_ceil(x)"),
}
_EACH_DOUBLE = {name: f"__builtin_{name}(x)" for name in ("exp2", "log2", "log", "sin", "cos", "erf")}
# minimax of the relative error on [-1/2, 1/2] with p(0) = 1, the highest power first
_EXP2 = (0.00015353309, 0.0013398939, 0.009618438, 0.055503324, 0.24022648, 0.6931472)
_EXP2_SHORT = (0.0013264659, 0.009671566, 0.055507343, 0.24022241, 0.693147)
_SHORTS = "*(const vs_anywhere *)p"


@dataclass(frozen=True, slots=True)
class _HelperView:
    """Blanks of the helpers' texts."""

    exp2_ulp: str = ""
    exp2_lines: tuple[str, ...] = ()
    whole_limit: str = ""
    whole_least: str = ""
    unsigned: str = ""
    why: str = ""
    name: str = ""
    scalar: str = ""
    stages: tuple[Stage, ...] = ()
    turns: tuple[str, ...] = ()
    pairs_low: tuple[str, ...] = ()
    pairs_high: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two vectors of a transposition that exchange blocks."""

    a: int
    b: int


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a transposition: blocks of ``distance`` lanes change places."""

    distance: int
    low: str
    high: str
    pairs: tuple[Pair, ...]


def helper_texts(text: str, plan: CpuPlan, *, vectors: str) -> tuple[str, ...]:
    """The definitions that ``text`` needs, in order; ``vectors``: the part of it that computes with vectors."""
    double, lanes, short = plan.dtype == "fp64", plan.lanes, plan.dtype in ("bf16", "fp16")
    view = dataclasses.replace(_view(double, lanes, short), turns=_turns(lanes, plan.block_m))
    calls, of_vectors = _calls(text), _calls(vectors)
    found: dict[str, str] = {}
    while True:
        new = [name for name in _ORDER if name not in found and _called(name, calls, of_vectors, plan.dtype)]
        if not new:
            return tuple(found[name] for name in _ORDER if name in found)
        for name in new:
            found[name] = _helper(name, view, double, lanes)
            calls |= _calls(found[name])


def _calls(text: str) -> set[str]:
    """What stands before brackets; of halves_4, halves_2 ... the word alone."""
    return {re.sub(r"_\d+$", "", name) for name in re.findall(r"(\w+)\(", re.sub("//.*", "", text))}


def _called(name: str, calls: set[str], of_vectors: set[str], dtype: str) -> bool:
    if name.startswith("load_") and name != "load_some":
        return name == f"load_{dtype}" and "load" in calls
    if name == "load" and dtype in ("bf16", "fp16"):
        return False  # a vector of those is widened
    lanes = name.startswith("floor_") and name.endswith("_lanes")
    return not (of_vectors if lanes else calls).isdisjoint(_CALLED_AS.get(name, {name}))


def value_texts(dtypes: set[str], double: bool, dtype: str) -> tuple[str, ...]:
    """How each type is read as a real, an integer or a bool, and how a real is stored as ``dtype``."""
    names = ["value", *(["value_double"] if double else [])]
    names += [f"value_{name}" for name in ("bf16", "fp16") if name in dtypes]
    names.append(f"narrow_{dtype}" if dtype in ("bf16", "fp16") else "narrow_same")
    return tuple(_render(name, _HelperView()) for name in names)


def _helper(name: str, view: _HelperView, double: bool, lanes: int) -> str:
    if name in ("larger", "smaller"):
        return _extreme(name, double, lanes)
    if name == "widened":
        return _widened(lanes)
    if name == "load_fp16":
        return _load_fp16(lanes)
    if name in _EACH or (double and name in _EACH_DOUBLE):
        scalar = _EACH_DOUBLE[name] if name in _EACH_DOUBLE else _EACH[name][double]
        return _render("each", dataclasses.replace(view, name=name, scalar=scalar))
    folder = ("double/" if double else "float/") if name in _TYPED else ""
    return _render(f"{folder}{name}", view)


def _render(name: str, view: _HelperView) -> str:
    return environment("cpu").get_template(f"helpers/{name}.cpp.j2").render(view=view).strip()


def _extreme(name: str, double: bool, lanes: int) -> str:
    """Vector instructions for a maximum, which compilers do not dare to take for NaN's sake: they return b then."""
    size = lanes * (8 if double else 4)
    word, sign = ("max", ">") if name == "larger" else ("min", "<")
    kind = "pd" if double else "ps"
    test, call = {
        64: ("__AVX512F__", f"__builtin_ia32_{word}{kind}512_mask(a, b, a, -1, 4)"),
        32: ("__AVX__", f"__builtin_ia32_{word}{kind}256(a, b)"),
        16: ("__SSE2__", f"__builtin_ia32_{word}{kind}(a, b)"),
    }.get(size, ("", ""))
    comment = f"// The {name} of two, and b where one is NaN: one instruction, which GCC does not find by itself."
    return _with_builtin([comment], f"vf {name}(vf a, vf b)", test, call, f"a {sign} b ? a : b")


def _widened(lanes: int) -> str:
    """One instruction from memory, where GCC takes five or six."""
    types = [
        "typedef uint16_t vh_anywhere __attribute__((vector_size(LANES * 2), aligned(2), may_alias));",
        "typedef int16_t vs_anywhere __attribute__((vector_size(LANES * 2), aligned(2), may_alias));",
        "typedef uint32_t vu __attribute__((vector_size(LANES * 4)));",
    ]
    test, call = {
        16: ("__AVX512F__", f"(vu)__builtin_ia32_pmovzxwd512_mask({_SHORTS}, vi{{}}, -1)"),
        8: ("__AVX2__", f"(vu)__builtin_ia32_pmovzxwd256({_SHORTS})"),
    }.get(lanes, ("", ""))
    comment = "// The bits of LANES 16-bit elements from any address."
    plain = "__builtin_convertvector(*(const vh_anywhere *)p, vu)"
    return _with_builtin([*types, "", comment], "vu widened(const element *p)", test, call, plain)


def _load_fp16(lanes: int) -> str:
    test, call = {
        16: ("__AVX512F__", f"__builtin_ia32_vcvtph2ps512_mask({_SHORTS}, vf{{}}, -1, 4)"),
        8: ("__F16C__", f"__builtin_ia32_vcvtph2ps256({_SHORTS})"),
    }.get(lanes, ("", ""))
    comment = "// LANES elements from any address, as `value` does it for one."
    return _with_builtin([comment], "vf load(const element *p)", test, call, "widened_halves(widened(p))")


def _with_builtin(before: list[str], head: str, test: str, call: str, plain: str) -> str:
    """A function of one expression: a builtin of GCC where ``test`` says that the CPU has it, ``plain`` elsewhere."""
    lines = [*before, f"INL {head} {{"]
    if test:
        lines += [f"#if defined({test}) && !defined(__clang__)", f"  return {call};", "#else"]
    lines.append(f"  return {plain};")
    if test:
        lines.append("#endif")
    return "\n".join([*lines, "}"])


def _view(double: bool, lanes: int, short_exp2: bool) -> _HelperView:
    if double:
        coefficients = tuple(log(2) ** k / factorial(k) for k in range(13, 0, -1))
    else:
        coefficients = _EXP2_SHORT if short_exp2 else _EXP2
    suffix = "" if double else "f"
    numbers = [f"{value!r}{suffix}" for value in coefficients]
    p, r = ("p", "r") if double else ("p[i]", "x[i]")
    lines = [f"{'vf ' if double else ''}{p} = {numbers[0]} * {r} + {numbers[1]};"]
    lines += [f"{p} = {p} * {r} + {number};" for number in (*numbers[2:], "1")]
    return _HelperView(
        exp2_ulp="2.5" if short_exp2 and not double else "1.2",
        exp2_lines=tuple(lines),
        whole_limit="0x1p63" if double else "0x1p31f",
        whole_least="INT64_MIN" if double else "INT32_MIN",
        unsigned="uint64_t" if double else "uint32_t",
        why="// Lane by lane: compilers make vector instructions of what a CPU has them for.",
        stages=_stages(lanes),
        pairs_low=_interleaved(range(lanes), 2 * lanes),
        pairs_high=_interleaved(range(lanes, 2 * lanes), 2 * lanes),
    )


def _stages(lanes: int) -> tuple[Stage, ...]:
    out = []
    distance = lanes // 2
    while distance:
        low = [i - distance + lanes if i & distance else i for i in range(lanes)]
        high = [i + lanes if i & distance else i + distance for i in range(lanes)]
        pairs = tuple(Pair(i, i + distance) for i in range(lanes) if not i & distance)
        out.append(Stage(distance, ", ".join(map(str, low)), ", ".join(map(str, high)), pairs))
        distance //= 2
    return tuple(out)


def _turns(lanes: int, rows: int) -> tuple[str, ...]:
    """Rotations that bring every lane of a row together, where lane i belongs to row i % rows."""
    out = []
    while rows < lanes:
        out.append(", ".join(str((i + rows) % lanes) for i in range(lanes)))
        rows *= 2
    return tuple(out)


def _interleaved(lanes: range, other: int) -> tuple[str, ...]:
    """Each lane of a vector and the same of the other vector, in lines."""
    numbers = [f"{i}, {i + other}" for i in lanes]
    lines = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
    return (*(f"{line}," for line in lines[:-1]), lines[-1])
