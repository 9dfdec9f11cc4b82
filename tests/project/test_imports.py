"""The import direction of docs/architecture.md, read from the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "attngen"
FILES = sorted(PACKAGE.rglob("*.py"))

# a room may import rooms of a lower floor, and itself; equal floors are neighbours that do not see each other
FLOOR = {
    "errors": 0,
    "expr": 1,
    "targets": 1,
    "language": 2,
    "machine_code": 2,
    "oracle": 3,
    "sample": 3,
    "graph": 3,
    "tiling": 4,
    "planner": 5,
    "draw": 6,
    "emit": 6,
    "runtime": 7,
    "records": 8,
    "pipeline": 9,
    "explanation": 10,
    "building": 10,
    "checking": 10,
    "fuzz": 11,
    "report": 11,
    "tune": 11,
    "cli": 12,
}
ORACLE_SEES = {"errors", "expr", "language", "oracle"}
ORACLE_IS_SEEN_BY = {"oracle", "tune", "checking", "fuzz", "cli", ""}  # "" is attngen/__init__.py
HEAVY = {"torch", "triton", "matplotlib"}
NEEDS_TORCH = {"checking"}  # nothing in it works without, and nothing imports it at module level
QUICK = {"__init__.py", "__main__.py", "errors.py", "cli"}  # what `import attngen` and `--help` load
SLOW = {"numpy", "islpy", "networkx", "jinja2", "rich"} | HEAVY


def room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts[0] in ("__init__", "__main__") else parts[0]


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Absolute names of everything that is imported, anywhere in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import; write it from attngen on"
            module = node.module or ""
            if module == "attngen":  # the names may be rooms
                yield from ((f"attngen.{alias.name}", node) for alias in node.names)
            else:
                yield module, node


def at_module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run on import: no function bodies, nothing under TYPE_CHECKING."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            todo.extend(node.orelse)
            continue
        yield node
        todo.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


def runs_on_import(tree: ast.Module) -> set[str]:
    statements = set(at_module_level(tree))
    return {name for name, node in imports(tree) if node in statements}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_rooms_import_downwards(path: Path) -> None:
    own = room(path)
    if own == "":
        return
    assert own in FLOOR, f"`{own}` has no floor: add it here and to docs/architecture.md"
    for name, node in imports(ast.parse(path.read_text())):
        if not name.startswith("attngen."):
            continue
        other = name.split(".")[1]
        if other == own or other not in FLOOR:  # a public name such as __version__
            continue
        assert FLOOR[other] < FLOOR[own], f"{name_of(path)}:{node.lineno}: `{own}` may not import `{other}`"
        if own == "oracle":
            assert other in ORACLE_SEES, f"{name_of(path)}:{node.lineno}: the oracle may not see `{other}`"
        if other == "oracle":
            assert own in ORACLE_IS_SEEN_BY, f"{name_of(path)}:{node.lineno}: `{own}` may not use the oracle"


@pytest.mark.parametrize("path", [path for path in FILES if room(path) not in NEEDS_TORCH], ids=name_of)
def test_torch_and_triton_are_imported_inside_functions(path: Path) -> None:
    names = runs_on_import(ast.parse(path.read_text()))
    heavy = {name.split(".")[0] for name in names} & HEAVY
    heavy |= {name for name in names if name.removeprefix("attngen.").split(".")[0] in NEEDS_TORCH}
    assert not heavy, f"{name_of(path)} imports {heavy} at module level"


@pytest.mark.parametrize("path", [p for p in FILES if p.relative_to(PACKAGE).parts[0] in QUICK], ids=name_of)
def test_the_front_door_is_light(path: Path) -> None:
    slow = {name.split(".")[0] for name in runs_on_import(ast.parse(path.read_text()))} & SLOW
    assert not slow, f"{name_of(path)} imports {slow} at module level; import it inside the command"


def test_every_room_has_a_floor_and_every_floor_a_room() -> None:
    rooms = {room(path) for path in FILES} - {""}
    assert rooms <= set(FLOOR)
    assert set(FLOOR) == rooms


def test_the_rule_sees_a_violation() -> None:
    tree = ast.parse("from attngen.cli import main\nimport torch\ndef f():\n    import triton\n")
    assert {name for name, _ in imports(tree)} == {"attngen.cli", "torch", "triton"}
    assert runs_on_import(tree) == {"attngen.cli", "torch"}
