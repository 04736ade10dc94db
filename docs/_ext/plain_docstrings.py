"""Show docstrings as they stand in the source.

Ours are plain text: sentences with `names`, and tables made of spaces (an argument and what it means). autodoc takes a
docstring for reStructuredText, in which such a table is an error. So sentences become escaped text, and a paragraph whose
lines are aligned becomes a block that keeps its spaces.
"""

import re
from itertools import groupby

from sphinx.application import Sphinx


def plain(lines: list[str]) -> list[str]:
    """A plain-text docstring as reStructuredText that looks the same."""
    result = []
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        if blank:
            continue
        if any(re.search(r"\S {2,}\S|^ ", line) for line in paragraph):
            result += [".. code-block:: text", "", *("   " + line for line in paragraph), ""]
        else:
            result += [_sentence(line) for line in paragraph] + [""]
    return result


def _sentence(line: str) -> str:
    """`names` as literals; every other character that means something in reStructuredText, escaped."""
    parts = line.split("`")
    prose = [re.sub(r"([\\*_|<>:])", r"\\\1", part) for part in parts[::2]]
    literals = [f"``{part}``" for part in parts[1::2]]
    return "".join(text for pair in zip(prose, [*literals, ""], strict=False) for text in pair)


def _rewrite(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = plain(lines)


def setup(app: Sphinx) -> dict:
    app.connect("autodoc-process-docstring", _rewrite)
    return {"parallel_read_safe": True}
