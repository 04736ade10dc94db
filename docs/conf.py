"""Sphinx configuration. Build: make docs, or sphinx-build -E -W --keep-going -b html docs docs/_build/html

A reader's browser asks no other host for anything. The fonts are those of the system; KaTeX's script comes with
sphinxcontrib-katex, its stylesheet and fonts lie in _static/katex. Where Node is installed, formulas are set at build time and
the pages need no script for them; elsewhere the same KaTeX sets them in the browser.
"""

import html
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util import logging
from sphinxcontrib import katex

import mvnp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
sys.path.append(str(HERE.parent / "benchmarks"))  # what draws the measured, and makes a layer's inputs

project = "mvnp"
author = "The mvnp authors"
version = release = mvnp.__version__
language = "en"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.katex", "plain_docstrings"]
extensions += [
    "annotated",
    "bibliography",
    "cells",
    "cost_table",
    "explorable",
    "explorer",
    "fold",
    "measured",
    "notebook",
    "plot",
    "run_at_build",
    "search_pages",
    "twins",
]  # ours, in _ext
exclude_patterns = ["_build", "_cells", "_static", "_search", "measured"]
pyodide = os.environ.get("PYODIDE", "")  # cells that run in the browser; by default there are none

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"mvnp {mvnp.__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_search_scorer = str(HERE / "_search" / "scorer.js")
pygments_dark_style = "a11y-high-contrast-dark"  # furo's own choice has too little contrast in places
html_show_sphinx = False
html_show_copyright = False

katex_prerender = shutil.which("node") is not None
katex_css_path = "katex/katex.min.css"

katex.STARTUP_TIMEOUT = 60.0


def start_katex(folder: Path, timeout: float) -> tuple[subprocess.Popen, socket.socket]:
    """The server that sets formulas, and a connection to it by a file. By a port each formula would wait 80 ms, as its length
    and the answer's go before it (Nagle's algorithm). On a busy machine the file is there before the server listens."""
    path, until = folder / "katex.sock", time.monotonic() + timeout
    command = katex.KaTeXServer.build_command(socket=path)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
    while time.monotonic() < until:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            time.sleep(0.01)
        else:
            return process, connection
    process.kill()
    raise katex.KaTeXServer.timeout_error(timeout)


katex.KaTeXServer.start_server_process = start_katex  # where there are such files; Windows takes a port


logger = logging.getLogger(__name__)


def check_katex(app: Sphinx) -> None:
    """The stylesheet fits the script only if both are of one version."""
    vendored = re.search(r"KaTeX (\S+):", (HERE / "_static/katex/README.md").read_text(encoding="utf-8"))
    if vendored is None or vendored[1] != katex.katex_version:
        raise ConfigError(
            f"sphinxcontrib-katex brings KaTeX {katex.katex_version}, docs/_static/katex holds {vendored and vendored[1]};"
            " install the version that pyproject.toml pins, or renew the stylesheet and fonts as the README there says"
        )


def refuse_bad_formulas(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """KaTeX prints what it cannot read in red and goes on; here that is a warning, so -W stops at it. (Needs Node.)"""
    body = context.get("body", "")
    for problem in re.findall(r'class="katex-error" title="([^"]*)"', body):
        logger.warning("KaTeX cannot read a formula: %s", html.unescape(problem), location=page)
    for command in re.findall(r'<mstyle mathcolor="#cc0000"><mtext>([^<]*)', body):
        logger.warning("KaTeX does not know the command %s", html.unescape(command), location=page)


def once_each_id(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Furo puts a frame around each formula and gives both the formula's id."""
    framed = r'(<div class="math-wrapper docutils container" id="([\w-]+)">\s*<div class="math") id="\2"'
    context["body"] = re.sub(framed, r"\1", context.get("body", ""))


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", check_katex)
    app.connect("html-page-context", once_each_id)
    app.connect("html-page-context", refuse_bad_formulas)
