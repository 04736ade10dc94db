"""Directives whose output is made when the site is built: `example` runs code, `gradcheck` checks a layer.

`{example}` shows Python code and, below it, what the code prints. The blocks of a page share their names, in order. An error
in the code ends the build, with the page's line numbers in the traceback.

`{gradcheck} layernorm` runs the cases that `mvnp check layernorm` runs. It says how many gradients were compared and how far
the worst was off; folded below, it shows for each tensor where backward and central differences differ most. A case that fails
ends the build.
"""

from __future__ import annotations

import contextlib
import io
import traceback
from typing import Any

import numpy as np
from docutils import nodes
from fold import fold
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from mvnp.check.gradcheck import Report
from mvnp.check.layer_checks import select_cases
from mvnp.errors import InputError


class Example(SphinxDirective):
    has_content = True

    def run(self) -> list[nodes.Node]:
        code = "\n".join(self.content)
        names = self.env.temp_data.setdefault("example_names", {"__name__": "a_page"})
        try:
            output = run_code(code, names, *self.get_source_info())
        except Exception:
            raise self.error(f"example: the code fails\n{traceback.format_exc()}") from None
        shown = nodes.container(classes=["example"])
        shown += nodes.literal_block(code, code, language="python")
        if output:
            shown += nodes.literal_block(output, output, language="text", classes=["output"])
        return [shown]


def run_code(code: str, names: dict[str, Any], file: str, line: int) -> str:
    """What `code` prints. `names` are read and extended. `line`: the last line of `file` before the code."""
    printed = io.StringIO()
    compiled = compile("\n" * line + code, file, "exec")
    with contextlib.redirect_stdout(printed), np.printoptions():
        exec(compiled, names)
    return printed.getvalue().rstrip("\n")


class Gradcheck(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        stem = self.arguments[0]
        try:
            reports = [case.run() for case in select_cases([stem])]
        except InputError as error:
            raise self.error(f"gradcheck: {error}") from None
        for report in reports:
            if not report.ok:
                raise self.error(f"gradcheck: the backward of {report.name} is not the derivative of its forward\n{report}")
        self.env.note_dependency(self.env.srcdir.parent / "mvnp" / "layers" / f"{stem}.py")
        table = nodes.container("", *self.parse_text_to_nodes("\n".join(table_of(stem, reports))), classes=["made-table"])
        return [*self.parse_text_to_nodes(verdict(stem, reports)), fold("Each gradient, where it is off the most", table)]


def verdict(stem: str, reports: list[Report]) -> str:
    """In a sentence, what the table says."""
    count = sum(len(report.comparisons) for report in reports)
    cases = f" in {len(reports)} cases" if len(reports) > 1 else ""
    what = (
        f"{count} gradients{cases} were compared, and the largest error is" if count > 1 else "The gradient's largest error is"
    )
    return f"{what} {_power(max(report.error for report in reports))}; `mvnp check {stem}` repeats it."


def table_of(stem: str, reports: list[Report]) -> list[str]:
    """A table in Markdown, a line for each tensor, and how to make it again."""
    rows = [
        "| case | gradient of | entry that differs most | backward | differences | error |",
        "|---|---|---|---:|---:|---:|",
    ]
    for report in reports:
        case = report.name.removeprefix(stem).removeprefix(", ") or "—"
        for row in report.comparisons:
            numbers = f"{row.analytic:.7f} | {row.numeric:.7f} | {_power(row.error)}"
            rows.append(f"| {case} | `{row.tensor}` | `{row.where}` | {numbers} |")
            case = ""
    tolerance = _power(max(report.tolerance for report in reports))
    return [
        *rows,
        "",
        f"*Made when this page was built, by `mvnp check {stem}`: float64, central differences of fourth order. An error is a"
        f" difference over the largest entry of its tensor's Jacobian; at most {tolerance} passes.*",
    ]


def _power(x: float) -> str:
    """1.2e-11 as 1.2·10⁻¹¹."""
    digits, exponent = f"{x:.1e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}" if x else "0"


def setup(app: Sphinx) -> dict:
    app.add_directive("example", Example)
    app.add_directive("gradcheck", Gradcheck)
    return {"parallel_read_safe": True}
