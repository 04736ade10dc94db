"""`{twins} layernorm`: a layer's twins, the loop for a CPU and the kernel for a GPU, side by side and folded away.

The files are mvnp/kernels/cpu/<stem>.py and mvnp/kernels/cuda/<stem>.cu, read when the site is built. A number of an equation
in a comment, "(2)", becomes a link to the formula on the layer's page, as in `annotated`.

Options: `:function: layernorm_forward` shows one function of the book, open, with what computes it on each device: the array
code itself, the loop, the kernel.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from annotated import View, preformatted, span
from docutils import nodes
from docutils.parsers.rst import directives
from fold import fold
from pygments.lexer import Lexer
from pygments.lexers import PythonLexer
from pygments.lexers.c_like import CudaLexer
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import mvnp

PACKAGE = Path(mvnp.__file__).parent
DEVICES = {"cpu": ("py", PythonLexer, "a loop for the CPU (Numba)"), "cuda": ("cu", CudaLexer, "a kernel for a GPU (CUDA)")}
BOOK = "array code"

Lines = list[tuple[int, int]]  # first and last of each part


class Twins(SphinxDirective):
    required_arguments = 1
    option_spec = {"function": directives.unchanged_required}  # noqa: RUF012  (docutils wants a plain dictionary)

    def run(self) -> list[nodes.Node]:
        stem, function = self.arguments[0], self.options.get("function")
        files = {device: PACKAGE / "kernels" / device / f"{stem}.{ending}" for device, (ending, _, _) in DEVICES.items()}
        files = {device: path for device, path in files.items() if path.is_file()}
        if not files:
            raise self.error(f"twins: {stem} has none")
        grid = nodes.container(classes=["twin-grid"])
        columns = nodes.container("", grid, classes=["twin-columns"])
        if function:
            book = PACKAGE / "layers" / f"{stem}.py"
            found = span(book.read_text(encoding="utf-8"), function) if book.is_file() else None
            if found is None:
                raise self.error(f"twins: there is no {function} in mvnp/layers/{stem}.py")
            grid += self.column(stem, "book", book, BOOK, PythonLexer(stripnl=False), [found])
        for device, path in files.items():
            _, lexer, title = DEVICES[device]
            lines = None
            if function:
                lines = kernel_lines(path, function) if device == "cuda" else function_lines(path, function)
                if not lines:
                    raise self.error(f"twins: there is no {function} in {path.name}")
            grid += self.column(stem, device, path, title, lexer(stripnl=False), lines)
        if function:
            return [columns]
        what = " and as ".join(DEVICES[device][2] for device in files)
        return [fold(f"The same as {what}", columns, classes=("twins",))]

    def column(self, stem: str, device: str, path: Path, title: str, lexer: Lexer, parts: Lines | None) -> nodes.Node:
        """A file, or some lines of it, under a heading."""
        self.env.note_dependency(str(path))
        source = path.read_text(encoding="utf-8").rstrip("\n")
        view = View(stem, f"{stem}-{device}", source, lexer)
        heading = nodes.paragraph("", "", nodes.strong("", f"{title[0].upper()}{title[1:]}"), nodes.Text(": "))
        heading += nodes.literal("", str(path.relative_to(PACKAGE.parent)))
        column = nodes.container("", heading, classes=["twin-column"])
        for first, last in parts or [(1, source.count("\n") + 1)]:
            code = preformatted([view.line(number) for number in range(first, last + 1)])
            column += nodes.container("", code, classes=["source-code", "highlight"])
        return column


def function_lines(path: Path, name: str) -> Lines:
    """A function of a Python file, and those of the file that it calls, in the order in which they stand."""
    source = path.read_text(encoding="utf-8")
    found = (span(source, each) for each in called(source, name))
    return sorted(lines for lines in found if lines is not None)


def called(source: str, name: str) -> set[str]:
    """The function, and all of the same file that it refers to, itself or by way of others; none where it is not there."""
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    found, waiting = set(), [name] if name in functions else []
    while waiting:
        found.add(each := waiting.pop())
        names = {node.id for node in ast.walk(functions[each]) if isinstance(node, ast.Name)}
        waiting += names & functions.keys() - found
    return found


def kernel_lines(path: Path, name: str) -> Lines:
    """The kernels that a function of the .py file beside a .cu file launches, with helpers and the comments above them."""
    launcher, lines = path.with_suffix(".py").read_text(encoding="utf-8"), path.read_text(encoding="utf-8").splitlines()
    functions = called(launcher, name)
    bodies = [node for node in ast.parse(launcher).body if isinstance(node, ast.FunctionDef) and node.name in functions]
    texts = {node.value for body in bodies for node in ast.walk(body) if isinstance(node, ast.Constant)}
    parts = {}
    for number, line in enumerate(lines):
        if match := re.match(r"(?:extern|__device__) .*?\b(?!__)(\w+)\(", line):
            first = number
            while first and lines[first - 1].startswith("//"):
                first -= 1
            parts[match[1]] = (
                first + 1,
                (number if line.partition("//")[0].rstrip().endswith(("}", ";")) else lines.index("}", number)) + 1,
            )
    found, waiting = set(), [part for part in parts if part in texts]
    while waiting:
        found.add(each := waiting.pop())
        first, last = parts[each]
        words = set(re.findall(r"(\w+)\(", "\n".join(lines[first - 1 : last])))
        waiting += words & parts.keys() - found
    return sorted(parts[each] for each in found)


def setup(app: Sphinx) -> dict:
    app.add_directive("twins", Twins)
    return {"parallel_read_safe": True}
