"""A page that is a notebook, run when the site is built.

A page docs/notebooks/<stem>.md holds nothing but the line

    % notebook <stem>

and is read as if the cells of notebooks/<stem>.py stood in it: text as text, code with what it prints and draws below it. A
picture needs words for those who cannot see it; they stand in its cell's header, `# %% alt="…"`. The notebooks run in their
order in one folder below _build, for the fifth takes up what the fourth has trained. What they give is kept there, and they run
anew only where they or mvnp have changed.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import jupytext
import nbclient
import nbformat
from docutils import nodes
from plot import fingerprint, fit_for_page
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging as sphinx_logging
from sphinx.util.docutils import SphinxDirective

import mvnp

SOURCES = Path(mvnp.__file__).parent.parent / "notebooks"
LIMIT = 180  # seconds for a cell
HEADER = """
This page is `notebooks/{stem}.py` as it runs, with its questions open. To answer them, open it as a notebook:
[](index.md) says how.
"""

logger = sphinx_logging.getLogger(__name__)


def read_notebook(app: Sphinx, page: str, source: list[str]) -> None:
    """The cells in place of the line that names the notebook."""
    found = re.fullmatch(r"% notebook (\w+)\s*", source[0])
    if found is None:
        return
    parts = []
    for number, cell in enumerate(executed(found[1], str(app.outdir)).cells):
        text = cell.source if cell.cell_type == "markdown" else f"```{{cell}} {found[1]} {number}\n```"
        parts.append(
            re.sub(r"^# .*", lambda title: title[0] + "\n" + HEADER.format(stem=found[1]), text) if not parts else text
        )
    source[0] = "\n\n".join(parts)


class Cell(SphinxDirective):
    """Code, what it printed, and what it drew."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        stem, number = self.arguments
        cell = executed(stem, str(self.env.app.outdir)).cells[int(number)]
        code = re.sub(r"^%.*\n", "", cell.source)  # what only Jupyter reads
        shown = nodes.container(classes=["example"])
        shown += nodes.literal_block(code, code, language="python")
        for output in cell.get("outputs", []):
            text = output.get("text") or (
                "" if "image/svg+xml" in output.get("data", {}) else output["data"].get("text/plain", "")
            )
            if text.strip():
                shown += nodes.literal_block(text.rstrip(), text.rstrip(), language="text", classes=["output"])
        result: list[nodes.Node] = [shown]
        for output in cell.get("outputs", []):
            picture = output.get("data", {}).get("image/svg+xml")
            if picture:
                alt = cell.metadata.get("alt")
                if not alt:
                    raise self.error(f'notebook {stem}, cell {number}: it draws; say what with `# %% alt="…"`')
                name = f"notebook-{stem[0]}-{number}-{len(result)}"
                drawn = fit_for_page(picture, name, alt).replace('class="plot-scroll"', 'class="plot-scroll notebook-picture"')
                result.append(nodes.figure("", nodes.raw("", drawn, format="html"), classes=["plot"]))
        return result


@cache
def executed(stem: str, outdir: str) -> Any:
    """The notebook with its outputs, from this run or an earlier one."""
    names = sorted(path.stem for path in SOURCES.glob("[0-9]_*.py"))
    if stem not in names:
        raise ExtensionError(f"there is no notebook {stem!r}; there are {', '.join(names)}")
    before = names[: names.index(stem)]
    for name in before:
        executed(name, outdir)
    texts = b"".join(path.read_bytes() for path in sorted(SOURCES.glob("*.py")))
    state = hashlib.sha256(texts + fingerprint() + b"svg").hexdigest()[:20]
    folder = Path(outdir).parent / "notebooks" / state
    kept = folder / f"{stem}.ipynb"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for path in SOURCES.glob("*.py"):
            shutil.copy(path, folder)
        logger.info("running notebook %s", stem)
        notebook = jupytext.read(SOURCES / f"{stem}.py", fmt="py:percent")
        logging.getLogger("traitlets").setLevel("WARNING")
        options = {"timeout": LIMIT, "coalesce_streams": True, "resources": {"metadata": {"path": str(folder)}}}
        # Quiet about listening on a port of this machine; drawings in lines, whose colours can follow the page's.
        arguments = ["--IPKernelApp.log_level=ERROR", "--InlineBackend.figure_formats=svg"]
        nbclient.NotebookClient(notebook, extra_arguments=arguments, **options).execute()
        nbformat.write(notebook, kept)
    return nbformat.read(kept, as_version=4)


def setup(app: Sphinx) -> dict:
    app.connect("source-read", read_notebook)
    app.add_directive("cell", Cell)
    return {"parallel_read_safe": True}
