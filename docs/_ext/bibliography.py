"""`{bibliography}`: works with the places in the source that cite them.

Each line of the directive is `key | what the work is | address`. The key is how docstrings of mvnp name the work: an arXiv
number, or words. Below each work stand the files that name it, taken from the source when the site is built, with the equations
or sections named there. A work that nothing names is an error, and an arXiv number of the source that no line has is a warning.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import mvnp

logger = logging.getLogger(__name__)

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
# eqs 2 and 4, algorithm 2, section 3.3.2
_NUMBER = r"(?:[A-Z]\.)?\d+(?:\.\d+)*"
_PART = rf"(?:eqs?\.?|sections?|algorithms?|figures?|tables?) {_NUMBER}(?:(?:, | and | to ){_NUMBER})*|appendix [A-Z]"
WHERE = rf"(?:{_PART})(?:(?:, | and )(?:{_PART}))*"
PACKAGE = Path(mvnp.__file__).parent


def docstrings() -> dict[str, str]:
    """Every docstring and comment of each file of the package, as one line."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        parts = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
        texts = [ast.get_docstring(node) or "" for node in parts] + re.findall(r"#(.*)", source)
        found[path.relative_to(PACKAGE.parent).as_posix()] = " ".join(" ".join(texts).split())
    return found


def places(key: str, texts: dict[str, str]) -> dict[str, str]:
    """{file: where in the work}, for each file that names it. "" where the file does not say."""
    named = re.escape(f"arXiv:{key}" if re.fullmatch(r"\d{4}\.\d{4,5}", key) else key)
    found = {}
    for file, text in texts.items():
        if re.search(named, text):
            match = re.search(rf"{named}[^.;]*?, ({WHERE})", text)
            found[file] = match[1] if match else ""
    return found


class Bibliography(SphinxDirective):
    has_content = True

    def run(self) -> list[nodes.Node]:
        texts = docstrings()
        for file in texts:
            self.env.note_dependency(str(PACKAGE.parent / file))
        result = nodes.definition_list(classes=["bibliography"])
        listed: set[str] = self.env.metadata[self.env.docname].setdefault("works", set())
        for line in filter(None, map(str.strip, self.content)):
            key, work, address = (part.strip() for part in line.split("|"))
            listed.add(key)
            used = places(key, texts)
            if not used:
                raise self.error(f"bibliography: nothing in mvnp names {key!r}")
            title = nodes.term("", "", *self.parse_inline(f"[{work}]({address})" if address else work)[0])
            title["ids"].append(nodes.make_id(f"work-{key}"))
            result += nodes.definition_list_item("", title, nodes.definition("", self.used_in(used)))
        return [result]

    def used_in(self, used: dict[str, str]) -> nodes.Node:
        """The files, each with a link to its page where it is a layer."""
        line = nodes.paragraph()
        for i, (file, where) in enumerate(used.items()):
            line += nodes.Text("; " if i else "")
            stem = Path(file).stem
            shown = f"`{file}`"
            if (Path(self.env.srcdir) / "layers" / f"{stem}.md").exists() and "/layers/" in file:
                shown = f"[{shown}](layers/{stem}.md)"
            line += self.parse_inline(f"{shown}{': ' + where if where else ''}")[0]
        return line


def all_listed(app: Sphinx, env: BuildEnvironment) -> None:
    """Every arXiv number of the source has its line."""
    cited = {number for text in docstrings().values() for number in ARXIV.findall(text)}
    listed = {key for metadata in env.metadata.values() for key in metadata.get("works", ())}
    for number in sorted(cited - listed):
        logger.warning("bibliography: mvnp cites arXiv:%s, and docs/bibliography.md has no line for it", number)


def setup(app: Sphinx) -> dict:
    app.add_directive("bibliography", Bibliography)
    app.connect("env-check-consistency", all_listed)
    return {"parallel_read_safe": True}
