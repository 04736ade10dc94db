"""`{explorable} state`: a drawing that the reader can touch, from docs/_static/explorables/state.js.

    ```{explorable} state
    :title: One state
    :alt: What a reader who cannot see the drawing needs to know.

    What to do, in one sentence of Markdown.
    ```

The page gets a still picture first, state.svg, which the same script draws at its start (python docs/still_pictures.py),
and the script puts the living one in its place. More options: `options`, JSON laid over the start that the script has, with
a still of its own, state-NAME.svg, by `:still: NAME`; `play`: it moves by itself, once, when it comes into view, unless the
reader's system asks for no motion. A page without an explorable loads none of this.
"""

from __future__ import annotations

import html
import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

FOLDER = "explorables"  # below _static


class Explorable(SphinxDirective):
    required_arguments = 1
    has_content = True
    option_spec = {  # noqa: RUF012  (docutils wants a plain dictionary)
        "title": directives.unchanged_required,
        "alt": directives.unchanged_required,
        "options": directives.unchanged_required,
        "still": directives.unchanged_required,
        "play": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        folder = Path(__file__).parents[1] / "_static" / FOLDER
        missing = [option for option in ("title", "alt") if not self.options.get(option, "").strip()]
        if missing or not self.content:
            raise self.error(
                f"explorable: {name} needs {', '.join(f'`:{option}:`' for option in missing) or 'a sentence: what to do'}"
            )
        still = folder / (f"{name}-{self.options['still']}.svg" if "still" in self.options else f"{name}.svg")
        for path in (folder / f"{name}.js", still):
            if not path.is_file():
                raise self.error(f"explorable: there is no {path.name} in docs/_static/{FOLDER}")
            self.env.note_dependency(str(path))
        try:
            options = json.dumps(json.loads(self.options.get("options", "{}")))
        except ValueError as error:
            raise self.error(f"explorable: the options of {name} are no JSON: {error}") from None
        picture = still.read_text(encoding="utf-8").replace(
            'aria-label=""', f'aria-label="{html.escape(" ".join(self.options["alt"].split()))}"', 1
        )
        play = ' data-play="yes"' if "play" in self.options else ""
        opening = f'<figure class="explorable" data-explorable="{name}" data-options="{html.escape(options)}"{play}>'
        result = nodes.container(classes=["explorable-row"], explorable=name)
        result += nodes.raw("", opening, format="html")
        title = nodes.paragraph(classes=["explorable-title"])
        title += nodes.Text(self.options["title"])
        result += title
        task = nodes.container(classes=["explorable-task"])
        task += self.parse_content_to_nodes()
        result += task
        result += nodes.raw("", f'<div class="explorable-place">{picture.strip()}</div></figure>', format="html")
        return [result]


def add_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """The scripts and the stylesheet, to pages that have an explorable."""
    if doctree is None:
        return
    names = dict.fromkeys(node["explorable"] for node in doctree.findall(nodes.container) if "explorable" in node)
    if names:
        app.add_css_file(f"{FOLDER}/explorables.css")
        for name in ("kit", *names):
            app.add_js_file(f"{FOLDER}/{name}.js", loading_method="defer")


def setup(app: Sphinx) -> dict:
    app.add_directive("explorable", Explorable)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True}
