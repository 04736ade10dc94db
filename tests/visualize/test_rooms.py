"""The three rooms of mvnp/visualize: arrays know nothing of figures, figures nothing of pages, and the face has all names."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mvnp.visualize
from mvnp.visualize import arrays, figures, pages

FOLDER = Path(mvnp.visualize.__file__).parent


def imported(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, wherever in it."""
    package, found = path.relative_to(FOLDER.parents[1]).parent.parts, set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            found.add(f"{base}{node.module or ''}".rstrip("."))
            found |= {f"{base}{node.module or ''}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize(
    ("room", "unknown"),
    [
        ("arrays", ("matplotlib", "PIL", "mvnp.visualize.figures", "mvnp.visualize.pages")),
        ("figures", ("mvnp.visualize.pages",)),
    ],
)
def test_arrows_go_down_only(room, unknown):
    files = sorted((FOLDER / room).rglob("*.py"))
    assert len(files) > 10
    for path in files:
        upwards = {name for name in imported(path) if any(f"{name}.".startswith(f"{above}.") for above in unknown)}
        assert not upwards, f"{path.relative_to(FOLDER)} imports {sorted(upwards)}"


def test_every_figure_is_named_for_its_arrays():
    shared = {"matrix_panels", "overlay", "panels", "scan_panels", "style"}  # what several figures are made of
    drawn = {path.stem for path in (FOLDER / "figures").glob("*.py")} - shared
    drawn -= {"__init__", "window_grid", "confusion", "rate_search"}  # computed elsewhere
    assert drawn <= {path.stem for path in (FOLDER / "arrays").glob("*.py")}


def test_arrays_come_without_matplotlib():
    code = (
        "import sys, mvnp.visualize as v; v.internals, v.hidden_attention, v.WindowGeometry;"
        "assert 'matplotlib' not in sys.modules, 'arrays bring matplotlib';"
        "v.scan_state; assert 'matplotlib' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_face_has_the_names_of_all_rooms():
    names = [*arrays.__all__, *figures.__all__, *pages.__all__]
    assert mvnp.visualize.__all__ == sorted(set(names))
    assert len(names) == len(set(names)), "a name stands in two rooms"
    assert set(names) < set(dir(mvnp.visualize))
    for room in (arrays, figures, pages):
        assert all(getattr(mvnp.visualize, name) is getattr(room, name) for name in room.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'scan_sate'"):
        mvnp.visualize.scan_sate  # noqa: B018
