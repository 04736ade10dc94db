"""What imports what inside mvnp, from the syntax tree of every file: inside functions too, but not for types only."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "mvnp"


def modules() -> dict[str, Path]:
    """{dotted name: file}, a package being its __init__."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def imports_of(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of mvnp that a module imports; of a name from a package, the module of that name, if there is one."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            if source in known:
                found |= {f"{source}.{a.name}" if f"{source}.{a.name}" in known else source for a in node.names}
    return found - {name}


def graph() -> dict[str, set[str]]:
    """{module: the modules that it imports}."""
    known = modules()
    return {name: imports_of(name, path, known) for name, path in known.items()}


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Modules that import one another in a ring; empty where there is none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return way[way.index(name) :]
        if name in done:
            return []
        for other in sorted(edges.get(name, ())):
            if ring := visit(other, [*way, name]):
                return ring
        done.add(name)
        return []

    return next((ring for name in sorted(edges) if (ring := visit(name, []))), [])


def _running(node: ast.AST) -> list[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING:`."""
    nodes = [node]
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body:
            continue
        nodes += _running(child)
    return nodes
