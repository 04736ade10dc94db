"""Cells that run in the reader's browser, where the site is built with PYODIDE=<folder or address>; by default it is not.

    PYODIDE=~/pyodide make docs                     a folder of Pyodide's full distribution: the site takes what it needs of it
    PYODIDE=https://example.org/pyodide/full/ …     an address that has one: the reader's browser asks it, once Run is pressed

On the pages of the layers, examples can then be edited and run, and the exercise of `mvnp learn` can be written and checked.
The scripts lie in docs/_cells, which no other site has a byte of. mvnp itself goes along as a zip file.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ConfigError

import mvnp
from mvnp.learn import EXERCISES

CORE = ("pyodide.mjs", "pyodide.asm.*js", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
EXERCISE = {f"layers/{exercise.stem}": exercise for exercise in EXERCISES}
NEEDS = {"layers/gelu": ("numpy", "scipy")}  # the packages of a page, where NumPy is not enough
FULL = "the full distribution of a release of Pyodide has it"


def files_of(folder: Path) -> list[Path]:
    """What a site needs of a folder of Pyodide. Raises ConfigError where something is missing."""
    files = []
    for pattern in CORE:
        found = sorted(folder.glob(pattern))
        if not found:
            raise ConfigError(f"PYODIDE is {folder}, a folder without {pattern}; {FULL}")
        files += found
    packages = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))["packages"]
    wanted, seen = sorted({name for names in (("numpy",), *NEEDS.values()) for name in names}), set()
    while wanted:
        package = packages.get(name := wanted.pop())
        if package is None or name in seen:
            continue
        seen.add(name)
        file = folder / package["file_name"]
        if file.is_file():
            files.append(file)
            wanted += package["depends"]
        elif name == "numpy":
            raise ConfigError(f"PYODIDE is {folder}, a folder without {file.name}, which its pyodide-lock.json names; {FULL}")
    return files


def is_address(pyodide: str) -> bool:
    return re.match(r"https?://", pyodide) is not None


def read_setting(app: Sphinx) -> None:
    """An address ends with a slash; a folder has what a site needs."""
    pyodide = app.config.pyodide
    if not pyodide or app.builder.format != "html":
        return
    if is_address(pyodide):
        app.config.pyodide = pyodide.rstrip("/") + "/"
    elif Path(pyodide).expanduser().is_dir():
        app.config.pyodide = str(Path(pyodide).expanduser().resolve())
        files_of(Path(app.config.pyodide))
    else:
        raise ConfigError(f"PYODIDE is {pyodide!r}, expected a folder, or an address that begins with https://")


def has_cells(app: Sphinx, page: str) -> bool:
    return bool(app.config.pyodide) and page in EXERCISE


def add_exercise(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """At the end of the section Exercise of a layer's page."""
    if app.builder.format != "html" or not has_cells(app, page):
        return
    section = next(section for section in doctree.findall(nodes.section) if "exercise" in section["ids"])
    section += nodes.paragraph(
        "",
        "",
        nodes.Text("And the code: the layer without its backward, as "),
        nodes.literal("", "mvnp learn"),
        nodes.Text(" gives it, to be written and checked in this page."),
    )
    place = f'<div class="exercise-cell" data-exercise="{EXERCISE[page].stem}"></div>'
    section += nodes.raw("", place, format="html")


def add_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    if doctree is None or not has_cells(app, page):
        return
    pyodide = app.config.pyodide
    packages = NEEDS.get(page, ("numpy",))
    size = "some 20 MB"
    if not is_address(pyodide):
        weight = sum(file.stat().st_size for file in files_of(Path(pyodide)) if "scipy" in packages or "scipy" not in file.name)
        size, pyodide = f"{weight / 1e6:.0f} MB", "../pyodide/"
    data = {"data-pyodide": pyodide, "data-packages": " ".join(packages), "data-size": size}
    app.add_css_file("cells/cells.css")
    app.add_js_file("cells/cells.js", loading_method="defer", **data)


def write_files(app: Sphinx, error: Exception | None) -> None:
    """The scripts, mvnp, and Pyodide where it comes from a folder; without cells, nothing of what another build has left."""
    if error is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for name in ("cells", "pyodide"):
        shutil.rmtree(static / name, ignore_errors=True)
    if not app.config.pyodide:
        return
    scripts = Path(__file__).parents[1] / "_cells"
    (static / "cells").mkdir(parents=True)
    for name in ("cells.js", "worker.js", "cells.css"):
        shutil.copyfile(scripts / name, static / "cells" / name)
    package = Path(mvnp.__file__).parent
    with zipfile.ZipFile(static / "cells" / "mvnp.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(package.rglob("*.py")):
            add(archive, path, f"mvnp/{path.relative_to(package).as_posix()}")
        add(archive, scripts / "page_cells.py", "page_cells.py")
    if not is_address(app.config.pyodide):
        (static / "pyodide").mkdir()
        for file in files_of(Path(app.config.pyodide)):
            shutil.copyfile(file, static / "pyodide" / file.name)


def add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    """With a date of its own, the same file gives the same archive."""
    archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED)


def setup(app: Sphinx) -> dict:
    app.add_config_value("pyodide", "", "html")
    app.connect("builder-inited", read_setting)
    app.connect("doctree-resolved", add_exercise)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True}
