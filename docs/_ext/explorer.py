"""`{explorer} Bag, Ankle boot`: what `mvnp visualize` writes about the model of the demo, one page a picture, in a frame.

The pages are written when the site is built, for the first test picture of each class that is named, and lie in
_static/explorer. The frame loads one only when it comes into view (explorer.js). The names above it are links that open in
the frame, with or without scripts; the first is the one that it begins with.
"""

from __future__ import annotations

import html
import shutil
from pathlib import Path

from demo_model import demo, first_of
from docutils import nodes
from plot import fingerprint
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from mvnp.visualize.pages.explorer import Subject, write_explorer


class Explorer(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        classes = [name.strip() for name in self.arguments[0].split(",")]
        known = demo().classes or ()
        for name in classes:
            if name not in known:
                raise self.error(f"explorer: the demo's model knows no {name!r}, only {', '.join(known)}")
        up = "../" * self.env.docname.count("/")
        pages = {name: f"{up}_static/explorer/{file_of(name)}" for name in classes}
        links = ", ".join(f'<a href="{page}" target="explorer">{html.escape(name)}</a>' for name, page in pages.items())
        first = pages[classes[0]]
        frame = (
            f'<div class="explorer"><p>Pictures: {links}. <a href="{first}">The page alone</a></p>'
            f'<iframe name="explorer" title="The explorer: choose a token of a picture, and see what the model makes of it"'
            f' data-src="{first}"></iframe></div>'
        )
        result = nodes.container(explorer=classes)
        result += nodes.raw("", frame, format="html")
        return [result]


def file_of(name: str) -> str:
    return f"{name.lower().replace(' ', '-').replace('/', '-')}.html"


def add_script(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """To pages that have a frame."""
    if doctree is not None and any("explorer" in node for node in doctree.findall(nodes.container)):
        app.add_js_file("explorer.js", loading_method="defer")


def note_pages(app: Sphinx, doctree: nodes.document) -> None:
    """Which pictures are asked for; it is kept with the page's other data."""
    names = [name for node in doctree.findall(nodes.container) for name in node.get("explorer", [])]
    app.env.metadata[app.env.docname]["explorer"] = names


def write_pages(app: Sphinx, error: Exception | None) -> None:
    """Every page that is asked for, kept beside the figures and written anew only where mvnp has changed."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "explorer"
    names = sorted({name for data in app.env.metadata.values() for name in data.get("explorer", [])})
    for name in names:
        kept = Path(app.outdir).parent / "figures" / f"explorer-{fingerprint().hex()[:20]}-{file_of(name)}"
        if not kept.exists():
            subject = Subject("the model of the demo", demo().model, demo().classes)
            written = write_explorer(kept.parent / "explorer", [subject], first_of(name), name=name, figures=False)
            shutil.move(written, kept)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, folder / file_of(name))


def setup(app: Sphinx) -> dict:
    app.add_directive("explorer", Explorer)
    app.connect("doctree-read", note_pages)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", write_pages)
    return {"parallel_read_safe": True}
