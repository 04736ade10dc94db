"""The rooms of the house: imports go down, in no circle, as CONTRIBUTING.md draws it; and the faces of the rooms."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import mvnp
from mvnp import layers, models
from support.imports import PACKAGE, circle, graph, imports_of, modules

STEMS = {path.stem for path in (PACKAGE / "layers").glob("*.py")} - {"__init__"}
BOOK = STEMS | {path.stem for room in ("models", "training") for path in (PACKAGE / room).glob("*.py")}  # what may have twins
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"


def room_of(module: str) -> str:
    """The folder of a module, or the file right in mvnp; twins are a room of their own, above the layers."""
    parts = module.split(".")[1:]
    if parts[:1] == ["kernels"] and parts[2:] and parts[2] in BOOK:
        return "twins"
    return parts[0] if parts else "mvnp"


def drawing() -> dict[str, set[str]]:
    """{room: the rooms that it imports}, from top to bottom, of the block in CONTRIBUTING.md."""
    block = re.search(r"```text\n(room .*?)```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    head, *rows = block[1].splitlines()
    at = head.index("imports")
    drawn: dict[str, set[str]] = {}
    for row in rows:
        name = row.split()[0] if row[0] != " " else list(drawn)[-1]
        drawn.setdefault(name, set()).update(row[at:].split())
    return drawn


def edges() -> dict[str, set[str]]:
    between: dict[str, set[str]] = defaultdict(set)
    for module, others in graph().items():
        between[room_of(module)] |= {room_of(other) for other in others} - {room_of(module)}
    return dict(between)


def test_the_drawing_is_what_the_code_does():
    assert drawing() == edges()


def test_all_arrows_point_down():
    rooms = list(drawing())
    assert [
        (room, other) for room, others in edges().items() for other in others if rooms.index(other) <= rooms.index(room)
    ] == []


def test_no_module_imports_itself_by_way_of_others():
    assert circle(graph()) == []


def test_imports_are_found_wherever_they_stand(tmp_path):
    known = {name: Path() for name in ("mvnp", "mvnp.a", "mvnp.b", "mvnp.b.c", "mvnp.d", "mvnp.e", "mvnp.f")}
    source = (
        "from typing import TYPE_CHECKING\nimport mvnp.a\nfrom . import c\nfrom .. import d as renamed, other\n"
        "if TYPE_CHECKING:\n    from ..f import g\nelse:\n    from ..b import x\n\n\ndef f():\n    from ..e import y\n"
    )
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert imports_of("mvnp.b.module", path, known) == {"mvnp", "mvnp.a", "mvnp.b", "mvnp.b.c", "mvnp.d", "mvnp.e"}
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_every_module_is_looked_at():
    assert len(modules()) > 200
    assert {room_of(name) for name in modules()} == set(drawing())
    assert room_of("mvnp.kernels.cpu.gelu") == "twins"
    assert room_of("mvnp.kernels.cpu.jit") == room_of("mvnp.kernels.dispatch") == "kernels"


# Faces


def test_layers_have_a_face():
    """Every pair of functions and every class, in the order of the pages."""
    source = (PACKAGE / "layers/__init__.py").read_text(encoding="utf-8")
    order = list(dict.fromkeys(re.findall(r"^from \.(\w+) import", source, re.MULTILINE)))
    index = (PACKAGE.parent / "docs/layers/index.md").read_text(encoding="utf-8")
    assert order == re.search(r":hidden:\n\n(.*?)```", index, re.DOTALL)[1].split()
    assert set(order) == STEMS
    for stem in STEMS:
        module = getattr(layers, stem)
        own = {name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
        own |= {name for name in vars(module) if name.startswith(stem)}
        for name in own:
            is_class = isinstance(vars(module)[name], type) and not name.endswith("Cache")
            if is_class or name.endswith(("_forward", "_backward")):
                assert getattr(layers, name) is getattr(module, name), name


def test_models_have_a_face():
    for name in models.__all__:
        assert getattr(models, name).__doc__ or isinstance(getattr(models, name), dict)


def test_the_house_shows_public_names_and_rooms():
    assert dir(mvnp) == sorted([*mvnp.__all__, *mvnp.ROOMS, "__version__"])
    for room in mvnp.ROOMS:
        assert room in drawing()


def test_importing_mvnp_is_quick_work():
    """What takes long to import is left until it is used."""
    heavy = ("numba", "llvmlite", "scipy", "matplotlib", "PIL", "onnx", "cupy", "mpi4py", "sklearn", "torch")
    code = f"import sys, mvnp; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8").stdout == "[]\n"
