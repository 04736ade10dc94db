"""What a reader opens when they want it: `{fold} Summary` and its content, and `{answer}` for the answer to a page's question.

A fold is a <details> element: it opens by mouse, touch and keyboard, without a script, and on paper it is open.
"""

from __future__ import annotations

import html

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class folded(nodes.General, nodes.Element):
    """Opened by its `summary`, a line of text."""


def fold(summary: str, *content: nodes.Node, classes: tuple[str, ...] = ()) -> folded:
    """Some nodes behind a line of text."""
    return folded("", *content, summary=summary, classes=["fold", *classes])


class Fold(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        return [fold(self.arguments[0], *self.parse_content_to_nodes())]


class Answer(SphinxDirective):
    has_content = True

    def run(self) -> list[nodes.Node]:
        if not self.content:
            raise self.error("answer: it is empty")
        return [fold("An answer", *self.parse_content_to_nodes(), classes=("answer",))]


def open_folded(self: object, node: folded) -> None:
    classes = html.escape(" ".join(node["classes"]))
    summary = html.escape(node["summary"], quote=False)
    self.body.append(f'<details class="{classes}"><summary>{summary}</summary>\n')  # type: ignore[attr-defined]


def close_folded(self: object, node: folded) -> None:
    self.body.append("</details>\n")  # type: ignore[attr-defined]


def setup(app: Sphinx) -> dict:
    app.add_node(folded, html=(open_folded, close_folded))
    app.add_directive("fold", Fold)
    app.add_directive("answer", Answer)
    return {"parallel_read_safe": True}
