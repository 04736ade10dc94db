"""`{annotated} mvnp.layers.layernorm`: a module as prose beside code, tied to the equations of the page.

The text is read from the module's file when the site is built, so it cannot differ from the code that runs. An equation's
number in the source, "(2)", becomes a link to the formula `$$ ... $$ (layernorm-2)` of the layer's page, and below each such
formula of the page stand links to the lines that refer to it. The line that computes it has the formula above itself, set as on
the page. An equation that no line refers to is a warning.

Options: `:object: NAME` shows one function, class or method (`Mixer.backward`) and not the whole file.
"""

from __future__ import annotations

import ast
import bisect
import importlib.util
import re
from pathlib import Path

import plain_math
from docutils import nodes
from docutils.parsers.rst import directives
from pygments.lexer import Lexer
from pygments.lexers import PythonLexer
from pygments.token import STANDARD_TYPES, Token
from source_rows import ELSEWHERE, NUMBER, Definition, Mention, Row, cut, first_line, mentions, paragraphs
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

ALIGNED = re.compile(r"\S {2,}\S|^ ")  # a line of a table or an equation: its spaces mean something
ARGUMENT = re.compile(r"\w[\w*, ]*? {2,}\S")  # a line that begins with a name and, set off, what it means


class Annotated(SphinxDirective):
    required_arguments = 1
    option_spec = {"object": directives.unchanged_required}  # noqa: RUF012  (docutils wants a plain dictionary)

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise self.error(f"annotated: there is no module {module}")
        path = Path(spec.origin)
        self.env.note_dependency(str(path))
        source = path.read_text(encoding="utf-8")
        stem = module.rpartition(".")[2] if module.startswith("mvnp.layers.") else None
        view = View(stem, module.rpartition(".")[2], source)
        docstring, rows = cut(source)
        first, last = 1, source.count("\n") + 1
        if name := self.options.get("object"):
            found = span(source, name)
            if found is None:
                raise self.error(f"annotated: there is no {name} in {module}")
            first, last = found
            docstring = ""
        result = nodes.container(classes=["annotated"])
        if docstring:
            head = nodes.container(classes=["source-head"])
            head += [view.paragraph(text) for text in paragraphs(docstring)]
            result += head
        for row in rows:
            row.code = [(number, text) for number, text in row.code if first <= number <= last]
            if row.code or (docstring and row.prose):
                result += view.row(row)
        if stem and docstring:
            result["stem"], result["mentions"] = stem, mentions(source)
        return [result]


class View:
    """Makes nodes of the rows or lines of one file. `stem`: whose page has the equations, if any has."""

    def __init__(self, stem: str | None, name: str, source: str, lexer: Lexer | None = None) -> None:
        self.stem, self.name = stem, name
        self.tokens = dict(enumerate(_coloured_lines(source, lexer or PythonLexer(stripnl=False)), start=1))
        self.formulas = _formulas(source) if stem and lexer is None else {}

    def row(self, row: Row) -> nodes.Node:
        prose, code = nodes.container(classes=["source-prose"]), nodes.container(classes=["source-code", "highlight"])
        prose += [self.paragraph(text) for part in row.prose for text in paragraphs(part)]
        lines: list[nodes.Node] = []
        for number, _ in row.code:
            if number in self.formulas:
                code += [preformatted(lines)] if lines else []
                code += [formula_here("", stem=self.stem, equation=equation) for equation in self.formulas[number]]
                lines = []
            lines.append(self.line(number))
        code += [preformatted(lines)] if lines else []
        return nodes.container("", prose, code, classes=["source-row"])

    def line(self, number: int) -> nodes.Node:
        line = nodes.inline(classes=["line"], ids=[f"{self.name}-L{number}"])
        line += nodes.inline("", str(number), classes=["lineno"])
        for kind, text in self.tokens[number]:
            parts = self.linked(text) if kind in Token.Comment else [nodes.Text(text)]
            css = STANDARD_TYPES.get(kind, "")
            line += nodes.inline("", "", *parts, classes=[css]) if css else parts
        line += nodes.Text("\n")
        return line

    def paragraph(self, text: str) -> nodes.Node:
        """A paragraph of a comment or docstring: plain text with `names`, or a block that keeps its spaces."""
        lines = text.split("\n")
        if ARGUMENT.match(text) and all(ARGUMENT.match(line) or line.startswith(" ") for line in lines):
            return self.arguments(text)
        if 2 * sum(bool(ALIGNED.search(line)) for line in lines) > len(lines):
            return preformatted(self.linked(text))
        return nodes.paragraph("", "", *self.sentence(text))

    def sentence(self, text: str) -> list[nodes.Node]:
        """Text in which `names` stand out, equations are linked and formulas set."""
        result: list[nodes.Node] = []
        for i, part in enumerate(re.sub(r"\s*\n\s*", " ", text).split("`")):
            if i % 2:
                result.append(nodes.literal("", part))
                continue
            for piece, formula in plain_math.cut(part):
                result += [nodes.math(piece, plain_math.latex(piece))] if formula else self.linked(piece)
        return result

    def arguments(self, text: str) -> nodes.Node:
        """A table of arguments, one to a line, as a list that fits a narrow column."""
        result = nodes.definition_list(classes=["arguments"])
        for entry in re.split(r"\n(?! )", text):
            name, meaning = re.split(r" {2,}", entry, maxsplit=1)
            term = nodes.term("", "", nodes.literal("", name))
            meant = nodes.definition("", nodes.paragraph("", "", *self.sentence(meaning)))
            result += nodes.definition_list_item("", term, meant)
        return result

    def linked(self, text: str) -> list[nodes.Node]:
        """Text with links in place of numbers of equations."""
        if self.stem is None:
            return [nodes.Text(text)]
        places = [(match.start(), match.end(), self.stem, match[1]) for match in NUMBER.finditer(text)]
        for match in ELSEWHERE.finditer(text):
            found = re.compile(r"\d+").finditer(text, match.start(2), match.end(2))
            places += [(number.start(), number.end(), match[1], number[0]) for number in found]
        result: list[nodes.Node] = []
        done = 0
        for start, end, stem, number in sorted(places):
            result += [nodes.Text(text[done:start]), _equation_link(stem, number)]
            done = end
        return [*result, nodes.Text(text[done:])]


class formula_here(nodes.General, nodes.Element):
    """Where a formula of the page is to stand above its line."""


def _formulas(source: str) -> dict[int, list[int]]:
    """The equations that a line computes, where a comment behind or above it says so: each once in a function."""
    starts = sorted(node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, Definition))
    found: dict[int, list[int]] = {}
    shown: set[tuple[int, int]] = set()
    for mention in mentions(source):
        place = bisect.bisect(starts, mention.line), mention.equation
        if mention.function is None and place[0] and place not in shown:
            shown.add(place)
            found.setdefault(mention.line, []).append(mention.equation)
    return found


def preformatted(parts: list[nodes.Node]) -> nodes.Node:
    """A block that keeps its spaces. Sphinx leaves one whose source differs from its text as it is, and colours others."""
    return nodes.literal_block("(made of nodes)", "", *parts)


def _equation_link(stem: str, number: str) -> nodes.Node:
    """To the formula of that number, on whichever page it stands. A label that no page has is a warning."""
    text = nodes.inline("", f"({number})")
    return addnodes.pending_xref("", text, refdomain="math", reftype="eq", reftarget=f"{stem}-{number}", refwarn=True)


def _coloured_lines(source: str, lexer: Lexer) -> list[list[tuple]]:
    """(kind, text) of the tokens of each line. The whole file is read at once, as a token can go over several lines."""
    lines: list[list[tuple]] = [[]]
    for kind, text in lexer.get_tokens(source):
        for i, part in enumerate(text.split("\n")):
            if i:
                lines.append([])
            if part:
                lines[-1].append((kind, part))
    return lines


def span(source: str, name: str) -> tuple[int, int] | None:
    """First and last line of a function, class or method, from its decorators on; None where there is none of that name."""
    body: list[ast.stmt] = ast.parse(source).body
    found = None
    for part in name.split("."):
        found = next((node for node in body if isinstance(node, Definition) and node.name == part), None)
        if found is None:
            return None
        body = found.body
    assert found is not None
    return first_line(found), found.end_lineno or found.lineno


def link_equations(app: Sphinx, document: nodes.document) -> None:
    """Below each formula of a layer's page: where the source refers to it."""
    formulas = {formula.get("label"): formula for formula in document.findall(nodes.math_block) if formula.get("label")}
    for here in list(document.findall(formula_here)):
        formula = formulas.get(f"{here['stem']}-{here['equation']}")
        if formula is None:  # some lines of a file on another page
            here.parent.remove(here)
            continue
        text = formula.astext()
        again = nodes.math_block(text, text, nowrap=formula["nowrap"], number=None, label=None, docname=app.env.docname)
        here.replace_self(nodes.container("", again, classes=["source-formula"]))
    for view in [node for node in document.findall(nodes.container) if "mentions" in node]:
        stem, places = view["stem"], view["mentions"]
        for formula in list(document.findall(nodes.math_block)):
            label = formula.get("label") or ""
            if not label.startswith(f"{stem}-"):
                continue
            here = [mention for mention in places if mention.equation == int(label.rpartition("-")[2])]
            if here:
                parent = formula.parent
                parent.insert(parent.index(formula) + 1, _where(stem, here))
            else:
                logger.warning("annotated: no line of %s.py refers to equation %s", stem, label, location=formula)


def _where(stem: str, places: list[Mention]) -> nodes.Node:
    result = nodes.paragraph("", "in the source: ", classes=["equation-lines"])
    for i, mention in enumerate(places):
        if i:
            result += nodes.Text(", ")
        text = f"line {mention.line}" if mention.function is None else f"{mention.function}, line {mention.line}"
        result += nodes.reference("", text, refuri=f"#{stem}-L{mention.line}", internal=True)
    return result


def setup(app: Sphinx) -> dict:
    app.add_node(formula_here)
    app.add_directive("annotated", Annotated)
    app.connect("doctree-read", link_equations)
    return {"parallel_read_safe": True}
