"""Numbers in sentences that nobody types: what benchmarks have measured, and what can be counted when the site is built.

`` {measured}`accuracy decay 150 15` ``: the first word is a function of docs/measured_numbers.py, the others are its arguments;
it reads docs/measured, what the benchmarks write, and gives the text. `` {counted}`operations batchnorm training forward` ``:
the same with docs/counted_numbers.py, which runs the code, or reads its tables.

So a sentence changes with the measurement, or the code. An unknown name, or something that is not there, is a warning.

    ```{measured_table} recipe
    What stands here until it has been measured.
    ```

includes docs/measured/recipe.md, or its own text as long as there is no such file.
"""

from __future__ import annotations

import json
import runpy
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole


def number(docs: Path, text: str, role: str = "measured") -> str:
    """What the words of a role stand for. Raises LookupError or ValueError where it cannot be found."""
    name, *arguments = text.split()
    function = _functions(docs / f"{role}_numbers.py").get(name)
    if name.startswith("_") or not callable(function):
        raise LookupError(f"docs/{role}_numbers.py has no function {name!r}")
    try:
        return function(files(docs), *arguments) if role == "measured" else function(*arguments)
    except StopIteration:
        raise LookupError("docs/measured has no such row" if role == "measured" else "there is no such thing") from None
    except TypeError as error:
        raise ValueError(str(error)) from None


@cache
def _functions(file: Path) -> dict[str, Any]:
    return runpy.run_path(str(file))


def files(docs: Path) -> dict[str, Any]:
    """What the benchmarks have written, by the names of the files."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((docs / "measured").glob("*.json"))}


class Number(SphinxRole):
    """The role of that name."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        docs = Path(self.env.srcdir)
        for path in [docs / f"{self.role}_numbers.py", *(docs / "measured").glob("*.json")]:
            self.env.note_dependency(str(path))
        try:
            text = number(docs, self.text, self.role)
        except (LookupError, ValueError) as error:
            message = self.inliner.reporter.warning(f"{self.role}: {self.text}: {error}", line=self.lineno)
            return [nodes.problematic(self.text, self.text)], [message]
        return [nodes.inline(text, text, classes=[self.role])], []


class MeasuredTable(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / "measured" / f"{self.arguments[0]}.md"
        self.env.note_dependency(str(path))
        text = path.read_text(encoding="utf-8") if path.exists() else "\n".join(self.content)
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict:
    for role in ("measured", "counted"):
        app.add_role(role, Number(role))
    app.add_directive("measured_table", MeasuredTable)
    return {"parallel_read_safe": True}
