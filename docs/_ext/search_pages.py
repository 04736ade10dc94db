"""The search: the page that is about a thing comes first, and every result has an excerpt, also where the site is a folder.

What a page is about is its title, the functions and classes of its layer, and what the glossary sends its readers to it for:
the first link of a term's explanation. Further words are in ABOUT; they are the keywords of their page, so that it is found by
words that it does not have. docs/_search/scorer.js ranks by all this. A browser lets no page
read others where they are files, so their text, without code, is written as a script, _static/search_pages.js, which the
search's page alone loads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import mvnp

# Words for which somebody looks, and the page of the thing. A page that there is not is passed over.
ABOUT = {
    "padding": ("quirks", "layers/window"),
    "gpu": ("gpu", "kernels"),
    "cuda": ("gpu", "kernels"),
    "cupy": ("gpu", "use"),
    "exercise": ("learn",),
    "exercises": ("learn",),
    "licence": ("weights",),
    "license": ("weights",),
    "install": ("use",),
    "pretrained": ("weights",),
    "onnx": ("export",),
    "hidden attention": ("look_inside",),
    "scan": ("layers/selective_scan",),
    "ssm": ("layers/selective_scan",),
    "state space model": ("layers/selective_scan",),
    "mamba": ("layers/selective_scan",),
    "accuracy": ("measured",),
    "speed": ("measured",),
    "memory": ("execution",),
    "error": ("troubleshooting",),
    "grayscale": ("weights", "data"),
    "grey": ("weights", "data"),
    "bands": ("weights", "data"),
    "13 bands": ("weights", "data"),
    "multispectral": ("weights", "data"),
    "channels": ("weights", "data"),
    "interactive": ("explorables",),
    "explorable": ("explorables",),
    "explorables": ("explorables",),
    "animation": ("explorables",),
    "zoh": ("layers/selective_scan",),
    "zero order hold": ("layers/selective_scan",),
    "exact hold": ("quirks",),
    "a_log": ("architecture", "quirks"),
    "bias added twice": ("quirks",),
    "dt_bias": ("quirks",),
    "prerequisites": ("big_picture",),
    "reading order": ("big_picture",),
    "where to start": ("big_picture",),
    "short path": ("big_picture",),
    "feature maps": ("backbone",),
    "feature maps detector": ("backbone",),
    "detection": ("backbone",),
    "segmentation": ("backbone",),
    "stride": ("backbone",),
    "strides": ("backbone",),
    "reproduce imagenet": ("training/imagenet",),
    "imagenet": ("training/imagenet",),
    "dry run": ("training/imagenet",),
    "ema": ("training/ema",),
    "moving average": ("training/ema",),
    "softplus derivative": ("layers/softplus",),
    "which kernels ran": ("kernels",),
    "twin": ("kernels",),
    "book twin": ("kernels",),
    "gradient check": ("use", "troubleshooting"),
    "gradcheck": ("use", "troubleshooting"),
    "kink": ("troubleshooting",),
    "pickle": ("weights",),
    "pickle safe": ("weights",),
    "few pictures": ("finetune",),
    "fine tune": ("finetune",),
    "what can a token see": ("three_ways",),
    "receptive field": ("three_ways", "saliency"),
}
Sections = list[tuple[str, str]]  # the anchor and the text of each


def key(text: str) -> str:
    """Words as they are compared: small letters, without hyphens."""
    return " ".join(re.findall(r"\w+", text.lower()))


def about(env: BuildEnvironment) -> dict[str, str]:
    """{words: page}. What is in ABOUT goes before titles, and these before the glossary."""
    found = {}
    if "glossary" in env.all_docs:
        found = {key(term): page for term, page in _glossary(env.get_doctree("glossary"))}
    for name in dir(mvnp.layers):
        stem = getattr(getattr(mvnp.layers, name), "__module__", "").rpartition(".")[2]
        if f"layers/{stem}" in env.all_docs:
            found[key(name)] = f"layers/{stem}"
    found |= {key(title.astext()): name for name, title in env.titles.items()}
    listed = {words: [page for page in pages if page in env.all_docs] for words, pages in ABOUT.items()}
    return {**found, **{words: pages[0] for words, pages in listed.items() if pages}}


def _glossary(document: nodes.document) -> Iterator[tuple[str, str]]:
    """(term, the page that its explanation links to first)."""
    for item in document.findall(nodes.definition_list_item):
        links = [link["reftarget"] for link in item.findall(addnodes.pending_xref) if link.get("refdomain") in (None, "doc")]
        pages = [target.partition("#")[0].removesuffix(".md").lstrip("/") for target in links]
        if pages and pages[0]:
            yield from ((term.astext(), pages[0]) for term in item.findall(nodes.term))


def sections(document: nodes.document) -> Sections:
    """The text of every section by itself, without code, formulas and what only browsers see."""
    found: Sections = []
    for section in document.findall(nodes.section):
        text = " ".join(" ".join(_text(child) for child in section if not isinstance(child, nodes.section)).split())
        found.append((section["ids"][0] if section["ids"] else "", text))
    for item in document.findall(nodes.definition_list_item):  # terms of the glossary are results of their own
        text = " ".join(_text(item).split())
        found += [(anchor, text) for term in item.findall(nodes.term) for anchor in term["ids"]]
    return found


def _text(node: nodes.Node) -> str:
    if isinstance(
        node, nodes.literal_block | nodes.math_block | nodes.raw | nodes.comment | nodes.image | nodes.system_message
    ):
        return ""
    if isinstance(node, nodes.container) and "annotated" in node["classes"]:
        return ""
    if isinstance(node, nodes.Text):
        return str(node)
    together = isinstance(node, nodes.TextElement)
    return ("" if together else " ").join(_text(child) for child in node.children)


def add_keywords(app: Sphinx, document: nodes.document) -> None:
    """The words of ABOUT to the page that is about them."""
    words = sorted({word for phrase, pages in ABOUT.items() if app.env.docname in pages for word in phrase.split()})
    if words:
        document += nodes.meta("", name="keywords", content=", ".join(words))


def write(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    pages = {name: sections(app.env.get_doctree(name)) for name in sorted(app.env.all_docs)}
    data = {"ABOUT": about(app.env), "PAGES": pages}
    lines = [f"const {name} = {json.dumps(value, ensure_ascii=False, separators=(',', ':'))};" for name, value in data.items()]
    (Path(app.outdir) / "_static" / "search_pages.js").write_text("\n".join(lines) + "\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", add_keywords)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
