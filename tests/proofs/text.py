"""An emitted Triton file read back as arithmetic: its loops, their tiles and their masks as z3 terms.

Nothing is taken from the schedule or the printer. The statements of the kernel are evaluated as Triton
would, one lane at a time: ``//`` and ``%`` round to zero, ``tl.arange`` is a symbol, ``tl.min`` of a row
vector is a number that bounds the value of every row, and a load is an unknown function of its subscripts.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import z3

from attngen.expr.op import TensorRef
from tests.proofs.tensors import is_segment, loaded, size_of


class Unreadable(Exception):
    """Text that this reader has no meaning for."""


@dataclass(frozen=True, eq=False)
class At:
    """One lane: which row of the query tile, which column of the key tile, which turn of the loop."""

    row: Any = None
    column: Any = None
    turn: Any = None


@dataclass(frozen=True)
class Address:
    """A pointer into a tensor, or (without ``base``) a multiple of its strides."""

    tensor: TensorRef
    base: bool
    at: Mapping[int, Any]


@dataclass(frozen=True, eq=False)
class Named:
    """What a name stands for at one place of the text: an expression, and the names that it may use."""

    value: ast.expr
    names: Mapping[str, Named]


@dataclass(frozen=True)
class Loop:
    """A loop over key tiles. ``names`` are those of its body; ``before`` those of its header."""

    target: str
    bounds: tuple[ast.expr, ...]
    before: Mapping[str, Named]
    names: Mapping[str, Named]
    masked: bool


@dataclass
class Kernel:
    """The kernel of an emitted file. ``facts`` grows as values are read: what is true of loads and reductions."""

    text: str
    tensors: Mapping[str, TensorRef]
    facts: list[Any] = field(default_factory=list)
    documents: dict[object, tuple[TensorRef, tuple[Any, ...]]] = field(default_factory=dict)
    bounded: list[tuple[str, Any, Callable[[At], Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        tree = ast.parse(self.text)
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        self._launcher = functions["prepare"]
        self.constants = _constants(self._launcher)
        self.block_n: int = self.constants["BLOCK_N"]
        self._done: dict[tuple[int, At], Any] = {}
        self._keep_alive: list[Any] = []
        self.names: dict[str, Named] = {}
        self.loops = list(self._loops(functions["attention_forward"]))
        self.symbols = {name: z3.Int(name) for name in ("M", "N", "B", "program_0", "program_1", "program_2", "tiles")}

    def _loops(self, function: ast.FunctionDef) -> Iterator[Loop]:
        for statement in function.body:
            if isinstance(statement, ast.For):
                yield self._loop(statement)
                for name in _assigned(statement):  # its last value is not known afterwards
                    self.names.pop(name, None)
            else:
                _assign(statement, self.names)

    def _loop(self, statement: ast.For) -> Loop:
        call, target = statement.iter, statement.target
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) in ("range", "tl.range")):
            raise Unreadable(ast.unparse(call))
        assert isinstance(target, ast.Name)
        carried = _assigned(statement)
        before = dict(self.names)
        names = {name: value for name, value in before.items() if name not in carried}
        for inner in statement.body:
            _assign(inner, names)
        zero, one = ast.Constant(0), ast.Constant(1)
        given = list(call.args)
        bounds = (zero, given[0], one) if len(given) == 1 else (given[0], given[1], given[2] if given[2:] else one)
        return Loop(target.id, bounds, before, names, masked="keep" in carried)

    def checked_sizes(self) -> list[Any]:
        """What the launcher checks of tensors: a dimension reaches this length, or is 1, which broadcasts."""
        facts = []
        for node in ast.walk(self._launcher):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "check_tensor":
                ref = self.tensors[ast.unparse(node.args[1])]
                wanted = node.args[2]
                assert isinstance(wanted, ast.Tuple)
                for dim, length in enumerate(wanted.elts):
                    for least in length.args if isinstance(length, ast.Call) else [length]:
                        if ast.unparse(least) != "None":
                            size = size_of(ref, dim)
                            facts.append(z3.Or(size == 1, size >= self._length(least)))
        return facts

    def _length(self, node: ast.expr) -> Any:
        letters = {name: Named(ast.Name(letter), {}) for name, letter in (("batch", "B"), ("m", "M"), ("n", "N"))}
        return self._read(node, letters, At(), None)

    # values

    def turn_range(self, loop: Loop) -> tuple[Any, Any, int]:
        """First turn, end, step."""
        low, high, step = (self._read(bound, loop.before, At(), loop) for bound in loop.bounds)
        step = z3.simplify(step) if z3.is_expr(step) else z3.IntVal(step)
        if not z3.is_int_value(step):
            raise Unreadable(f"a step of {step}")
        return low, high, step.as_long()

    def in_loop(self, loop: Loop, name: str, at: At) -> Any:
        return self._read(ast.Name(name), loop.names, at, loop)

    def before_loops(self, name: str, at: At) -> Any:
        return self._read(ast.Name(name), self.names, at, None)

    def bounds_of(self, at: At) -> list[Any]:
        """What the reductions read so far say of one row."""
        return [
            least <= value(at) if kind == "min" else least >= value(at) for kind, least, value in list(self.bounded)
        ]

    def _read(self, node: ast.expr, names: Mapping[str, Named], at: At, loop: Loop | None) -> Any:
        def read(inner: ast.expr) -> Any:
            return self._read(inner, names, at, loop)

        match node:
            case ast.Constant(value=bool() as value):
                return z3.BoolVal(value)
            case ast.Constant(value=int() as value):
                return z3.IntVal(value)
            case ast.Name(id=name):
                return self._name(name, names, at, loop)
            case ast.BinOp():
                return _binary(type(node.op), read(node.left), read(node.right))
            case ast.UnaryOp(op=ast.USub()):
                return -read(node.operand)
            case ast.UnaryOp(op=ast.Invert()):
                return z3.Not(read(node.operand))
            case ast.Compare(ops=[op], comparators=[right]):
                return _COMPARE[type(op)](read(node.left), read(right))
            case ast.Subscript():  # broadcasting: a lane is a lane
                return read(node.value)
            case ast.Call():
                return self._call(node, names, at, loop)
        raise Unreadable(ast.unparse(node))

    def _name(self, name: str, names: Mapping[str, Named], at: At, loop: Loop | None) -> Any:
        if loop is not None and name == loop.target and at.turn is not None:
            return at.turn
        if name in names:
            given = names[name]
            key = (id(given), at)
            if key not in self._done:
                self._done[key] = self._read(given.value, given.names, at, loop)
            return self._done[key]
        if name in self.constants:
            return z3.IntVal(self.constants[name])
        for kernel_name, ref in self.tensors.items():
            if name == kernel_name:
                return Address(ref, True, {})
            for dim in range(ref.rank):
                if name == f"{kernel_name}_stride_{dim}":
                    return Address(ref, False, {dim: z3.IntVal(1)})
                if name == f"{kernel_name}_size_{dim}":
                    return size_of(ref, dim)
        return self.symbols.setdefault(name, z3.Int(name))

    def _call(self, node: ast.Call, names: Mapping[str, Named], at: At, loop: Loop | None) -> Any:
        def read(inner: ast.expr) -> Any:
            return self._read(inner, names, at, loop)

        called = ast.unparse(node.func)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "to":
            value = read(node.func.value)
            return z3.If(value, 1, 0) if z3.is_bool(value) and "int" in ast.unparse(node.args[0]) else value
        if called == "tl.arange":
            lane = {"BLOCK_M": at.row, "BLOCK_N": at.column}.get(ast.unparse(node.args[1]))
            if lane is None:
                raise Unreadable(f"{ast.unparse(node)} where no such lane is meant")
            return lane
        if called in ("tl.min", "tl.max") and len(node.args) == 1:
            return self._reduced(called[3:], node, names, loop)
        if called == "tl.load":
            address = read(node.args[0])
            subscripts = tuple(address.at.get(dim, z3.IntVal(0)) for dim in range(address.tensor.rank))
            if is_segment(address.tensor):  # one entry a row: the three tables of the ids have one contract
                key = (
                    address.tensor.derived.sources,
                    address.tensor.derived.options,
                    *(at.get_id() for at in subscripts),
                )
                self.documents.setdefault(key, (address.tensor, subscripts))
            return loaded(address.tensor, subscripts, clamp=False)
        if called in ("tl.program_id", "tl.num_programs"):
            return self.symbols["tiles" if called == "tl.num_programs" else f"program_{ast.unparse(node.args[0])}"]
        if called == "tl.cast":
            return read(node.args[0])
        if called in _FUNCTIONS:
            return _FUNCTIONS[called](*(read(arg) for arg in node.args))
        raise Unreadable(ast.unparse(node))

    def _reduced(self, kind: str, node: ast.Call, names: Mapping[str, Named], loop: Loop | None) -> Any:
        key = (id(node), _ANY)
        if key not in self._done:
            number = len(self.bounded)
            least, row = z3.Int(f"{kind}_{number}"), z3.Int(f"row_of_{kind}_{number}")
            own = At(row=row)

            def value(at: At) -> Any:
                return self._read(node.args[0], names, at, loop)

            self.facts += [row >= 0, row < self.constants["BLOCK_M"], least == value(own)]
            self.bounded.append((kind, least, value))
            self._keep_alive.append(own)
            self._done[key] = least
        return self._done[key]


_ANY = At()


def _assign(statement: ast.stmt, names: dict[str, Named]) -> None:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        names[statement.targets[0].id] = Named(statement.value, dict(names))
    else:
        for name in _assigned(statement):
            names.pop(name, None)


def _assigned(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _constants(prepare: ast.FunctionDef) -> dict[str, int]:
    """BLOCK_M and BLOCK_N as the launcher passes them."""
    for node in ast.walk(prepare):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "constants":
            values: dict[str, int] = ast.literal_eval(node.value)
            return {name: values[name] for name in ("BLOCK_M", "BLOCK_N")}
    raise Unreadable("the launcher passes no constants")


def _binary(op: type[ast.operator], a: Any, b: Any) -> Any:
    if isinstance(a, Address) or isinstance(b, Address):
        return _address(op, a, b)
    if op in _LOGIC:
        if not (z3.is_bool(a) and z3.is_bool(b)):
            raise Unreadable("bits of integers")
        return _LOGIC[op](a, b)
    if op in (ast.FloorDiv, ast.Mod):
        quotient = c_div(a, b)
        return quotient if op is ast.FloorDiv else a - quotient * b
    if op is ast.Add:
        return a + b
    if op is ast.Sub:
        return a - b
    if op is ast.Mult:
        return a * b
    raise Unreadable(op.__name__)


def _address(op: type[ast.operator], a: Any, b: Any) -> Address:
    if op is ast.Mult:
        step, factor = (a, b) if isinstance(a, Address) else (b, a)
        return Address(step.tensor, False, {dim: one * factor for dim, one in step.at.items()})
    together = op is ast.Add and isinstance(a, Address) and isinstance(b, Address) and a.tensor == b.tensor
    if together and not set(a.at) & set(b.at):
        return Address(a.tensor, a.base or b.base, {**a.at, **b.at})
    raise Unreadable("arithmetic of addresses")


def c_div(a: Any, b: Any) -> Any:
    """Rounds to zero, as the machine does. z3's own division rounds down for a positive divisor."""
    _positive(b)
    return z3.If(a >= 0, a / b, -((-a) / b))


def _positive(divisor: Any) -> None:
    if not (z3.is_int_value(z3.simplify(divisor)) and z3.simplify(divisor).as_long() > 0):
        raise Unreadable(f"division by {divisor}")


def floor_div(a: Any, b: Any) -> Any:
    """The helper of the emitted file; `test_refutations` proves that its text means this."""
    _positive(b)
    return a / b


def _floor_mod(a: Any, b: Any) -> Any:
    return a - floor_div(a, b) * b


_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
}
_LOGIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.BitAnd: z3.And,
    ast.BitOr: z3.Or,
    ast.BitXor: z3.Xor,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "tl.minimum": lambda a, b: z3.If(a <= b, a, b),
    "tl.maximum": lambda a, b: z3.If(a >= b, a, b),
    "tl.abs": lambda a: z3.If(a >= 0, a, -a),
    "tl.where": z3.If,
    "tl.cdiv": lambda a, b: c_div(a + b - 1, b),
    "floor_div": floor_div,
    "floor_mod": _floor_mod,
}
