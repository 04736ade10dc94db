"""`` {measured}`accuracy decay 150 15` ``: a measured number in a sentence, from the files that the benchmarks write.

The first word is a function of docs/measured_numbers.py, the others are its arguments: it reads docs/measured, gives the text.
So a sentence changes with the measurement. An unknown name, or a file without what is looked for, is a warning.

    ```{measured_table} ablations
    What stands here until it has been measured.
    ```

includes docs/measured/ablations.md, or its own text as long as there is no such file.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole


def number(docs: Path, text: str) -> str:
    """What the words of a role stand for. Raises LookupError or ValueError where it cannot be found."""
    name, *arguments = text.split()
    function = runpy.run_path(str(docs / "measured_numbers.py")).get(name)
    if name.startswith("_") or not callable(function):
        raise LookupError(f"docs/measured_numbers.py has no function {name!r}")
    try:
        return function(files(docs), *arguments)
    except StopIteration:
        raise LookupError("docs/measured has no such row") from None
    except TypeError as error:
        raise ValueError(str(error)) from None


def files(docs: Path) -> dict[str, Any]:
    """What the benchmarks have written, by the names of the files."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((docs / "measured").glob("*.json"))}


class Measured(SphinxRole):
    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        docs = Path(self.env.srcdir)
        for path in [docs / "measured_numbers.py", *(docs / "measured").glob("*.json")]:
            self.env.note_dependency(str(path))
        try:
            text = number(docs, self.text)
        except (LookupError, ValueError) as error:
            message = self.inliner.reporter.warning(f"measured: {self.text}: {error}", line=self.lineno)
            return [nodes.problematic(self.text, self.text)], [message]
        return [nodes.inline(text, text, classes=["measured"])], []


class MeasuredTable(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / "measured" / f"{self.arguments[0]}.md"
        self.env.note_dependency(str(path))
        text = path.read_text(encoding="utf-8") if path.exists() else "\n".join(self.content)
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict:
    app.add_role("measured", Measured())
    app.add_directive("measured_table", MeasuredTable)
    return {"parallel_read_safe": True}
